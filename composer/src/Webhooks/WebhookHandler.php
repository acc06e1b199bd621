<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

use Illuminate\Contracts\Events\Dispatcher;
use Trastienda\Laravel\Contracts\ReceivedWebhooks;

/**
 * Handles a verified webhook once: remembers it and tells the shop's listeners, all or nothing.
 */
final class WebhookHandler
{
    public function __construct(
        private readonly ReceivedWebhooks $received,
        private readonly Dispatcher $events,
        private readonly EventClasses $classes,
        private readonly bool $handlesReplays,
    ) {
    }

    /**
     * Says whether it was new here.
     */
    public function handle(WebhookReceived $webhook): bool
    {
        return $this->received->once($this->key($webhook), $webhook->type, function () use ($webhook): void {
            $this->events->dispatch($webhook);
            $this->events->dispatch("trastienda.{$webhook->type}", [$webhook]);
            $event = $this->classes->for($webhook);

            if ($event !== null) {
                $this->events->dispatch($event);
            }
        });
    }

    public function knows(WebhookReceived $webhook): bool
    {
        return $this->received->has($this->key($webhook));
    }

    /**
     * What makes two webhooks the same: the event, and the replay where replays count.
     */
    private function key(WebhookReceived $webhook): string
    {
        $key = $webhook->replay !== null && $this->handlesReplays ? "{$webhook->id}:{$webhook->replay}" : $webhook->id;

        return strlen($key) <= 191 ? $key : hash('sha256', $key);
    }
}
