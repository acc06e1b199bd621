<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

use Trastienda\Laravel\Exceptions\InvalidConfig;
use Trastienda\Laravel\Webhooks\Events\WebhookEvent;

/**
 * Which class tells of which type.
 */
final class EventClasses
{
    /** The hub's own types. */
    private const KNOWN = [
        'order.created' => Events\OrderCreated::class,
        'order.paid' => Events\OrderPaid::class,
        'payment.paid' => Events\PaymentPaid::class,
        'payment.failed' => Events\PaymentFailed::class,
        'payment.refunded' => Events\PaymentRefunded::class,
        'payment.disputed' => Events\PaymentDisputed::class,
        'notification.sent' => Events\NotificationSent::class,
        'notification.failed' => Events\NotificationFailed::class,
        'webhook.test' => Events\WebhookTested::class,
    ];

    /**
     * @param  array<array-key, mixed>  $own  the shop's: type => class
     */
    public function __construct(private readonly array $own = [])
    {
    }

    /**
     * The event for a webhook; null for a type that has no class.
     */
    public function for(WebhookReceived $webhook): ?WebhookEvent
    {
        $class = $this->own[$webhook->type] ?? self::KNOWN[$webhook->type] ?? null;

        if ($class === null) {
            return null;
        }

        return is_string($class) && is_subclass_of($class, WebhookEvent::class)
            ? new $class($webhook)
            : throw InvalidConfig::notAWebhookEvent($webhook->type);
    }
}
