<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks\Events;

/**
 * `order.paid`: what was paid for an order reached what it costs. Once per order.
 */
final class OrderPaid extends WebhookEvent
{
}
