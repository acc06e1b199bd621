<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

use Illuminate\Contracts\Bus\Dispatcher;
use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Contracts\Container\Container;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Trastienda\Laravel\Queue\HandleWebhook;

/**
 * Answers a verified webhook: read, handle once or queue, say so.
 */
final class WebhookController
{
    /**
     * All by method: Laravel keeps a route's controller from one request to the next.
     */
    public function __invoke(Request $request, WebhookHandler $handler, Config $config, Container $app): JsonResponse
    {
        $webhook = WebhookReceived::fromBody(
            (string) $request->headers->get('webhook-id'),
            (string) $request->headers->get('webhook-timestamp'),
            (string) $request->getContent(),
            $request->headers->get('trastienda-replay'),
        );

        if ($webhook === null) {
            return new JsonResponse(['code' => 'malformed_event'], 400);
        }

        $settings = WebhookSettings::read($config);

        if (! $settings->queued) {
            return $this->answer(! $handler->handle($webhook), false);
        }

        if ($handler->knows($webhook)) {
            return $this->answer(true, false);
        }

        $app->make(Dispatcher::class)->dispatch((new HandleWebhook($webhook->toArray()))->onConnection($settings->queueConnection)->onQueue($settings->queue));

        return $this->answer(false, true);
    }

    /**
     * A duplicate is visible to whoever looks at the delivery in the hub.
     */
    private function answer(bool $duplicate, bool $queued): JsonResponse
    {
        return new JsonResponse(['received' => true, 'duplicate' => $duplicate] + ($queued ? ['queued' => true] : []));
    }
}
