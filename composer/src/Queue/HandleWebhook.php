<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Queue;

use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldBeEncrypted;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Queue\InteractsWithQueue;
use Trastienda\Laravel\Webhooks\WebhookHandler;
use Trastienda\Laravel\Webhooks\WebhookReceived;

/**
 * A verified webhook on its way to the shop's listeners, by the shop's own queue.
 *
 * The queue has it when the hub hears 200. It is remembered when it is handled, so that a
 * job that runs twice, or two copies of one event, are one.
 */
final class HandleWebhook implements ShouldBeEncrypted, ShouldQueue
{
    use InteractsWithQueue;
    use Queueable;

    public int $tries = 10;

    /**
     * @param  array{id: string, type: string, data: array<array-key, mixed>, project: string|null, timestamp: string, replay: string|null}  $webhook
     */
    public function __construct(public array $webhook)
    {
    }

    public function handle(WebhookHandler $handler): void
    {
        $handler->handle(WebhookReceived::fromArray($this->webhook));
    }

    /**
     * @return list<int> seconds
     */
    public function backoff(): array
    {
        return [5, 30, 120, 600, 1800];
    }

    public function displayName(): string
    {
        return "Trastienda webhook {$this->webhook['type']}";
    }
}
