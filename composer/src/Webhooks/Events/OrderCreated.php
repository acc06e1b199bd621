<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks\Events;

/**
 * `order.created`: a shop took an order.
 */
final class OrderCreated extends WebhookEvent
{
}
