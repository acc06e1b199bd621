<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Contracts\Events\Dispatcher;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Trastienda\Laravel\Contracts\ReceivedWebhooks;

/**
 * Answers a verified webhook: read, handle once, say so.
 */
final class WebhookController
{
    public function __construct(
        private readonly ReceivedWebhooks $received,
        private readonly Dispatcher $events,
        private readonly Config $config,
    ) {
    }

    public function __invoke(Request $request): JsonResponse
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

        $handled = $this->received->once($this->key($webhook), $webhook->type, function () use ($webhook): void {
            $this->events->dispatch($webhook);
            $this->events->dispatch("trastienda.{$webhook->type}", [$webhook]);
        });

        return new JsonResponse(['received' => true, 'duplicate' => ! $handled]);
    }

    /**
     * What makes two webhooks the same: the event, and the replay where replays count.
     */
    private function key(WebhookReceived $webhook): string
    {
        $key = $webhook->replay !== null && $this->config->get('trastienda.webhooks.handle_replays') === true
            ? "{$webhook->id}:{$webhook->replay}"
            : $webhook->id;

        return strlen($key) <= 191 ? $key : hash('sha256', $key);
    }
}
