<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks\Events;

use DateTimeImmutable;
use Trastienda\Laravel\Webhooks\WebhookReceived;

/**
 * What the hub tells, as an event of its own type. A shop may add classes for its own types:
 * extend this, and name the class in `trastienda.webhooks.events`.
 *
 * Dispatched once per event, after the generic `WebhookReceived`, in the same transaction.
 */
abstract class WebhookEvent
{
    final public function __construct(public readonly WebhookReceived $webhook)
    {
    }

    public function id(): string
    {
        return $this->webhook->id;
    }

    public function occurredAt(): DateTimeImmutable
    {
        return $this->webhook->timestamp;
    }

    /**
     * @return array<array-key, mixed>
     */
    public function data(): array
    {
        return $this->webhook->data;
    }

    /**
     * The order that it is about, if it is about one.
     */
    public function orderId(): ?string
    {
        return $this->text('order_id');
    }

    protected function text(string $name): ?string
    {
        $value = $this->webhook->data[$name] ?? null;

        return is_scalar($value) && $value !== '' ? (string) $value : null;
    }
}
