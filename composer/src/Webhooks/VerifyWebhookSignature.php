<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

use Closure;
use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Contracts\Events\Dispatcher;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Support\Carbon;
use Symfony\Component\HttpFoundation\Response;
use Throwable;
use Trastienda\Exception\InvalidSignature;

/**
 * Lets in only what the hub signed, just now. Everybody else hears 401 and nothing more.
 */
final class VerifyWebhookSignature
{
    public function __construct(private readonly Config $config, private readonly Dispatcher $events)
    {
    }

    /**
     * @param  Closure(Request): Response  $next
     */
    public function handle(Request $request, Closure $next): Response
    {
        $id = (string) $request->headers->get('webhook-id');

        try {
            $settings = WebhookSettings::read($this->config);
            Signature::withSecrets($settings->secret, $settings->tolerance)->verify(
                $id,
                (string) $request->headers->get('webhook-timestamp'),
                (string) $request->headers->get('webhook-signature'),
                // The bytes as they came: anything decoded and encoded again is another body.
                (string) $request->getContent(),
                Carbon::now()->getTimestamp(),
            );
        } catch (InvalidSignature $exception) {
            $this->tell(new InvalidWebhookSignature($exception->getMessage(), $id === '' ? null : mb_substr(mb_scrub($id), 0, 191), $request->ip()));

            return $this->unauthorized();
        }

        return $next($request);
    }

    private function tell(InvalidWebhookSignature $event): void
    {
        try {
            $this->events->dispatch($event);
        } catch (Throwable $exception) {
            // A listener's mistake must not turn a stranger's 401 into a 500.
            report($exception);
        }
    }

    private function unauthorized(): JsonResponse
    {
        return new JsonResponse([
            'type' => 'about:blank',
            'title' => 'Unauthorized',
            'status' => 401,
            'code' => 'invalid_signature',
        ], 401, ['Content-Type' => 'application/problem+json']);
    }
}
