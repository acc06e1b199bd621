<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks\Events;

/**
 * `payment.paid`: a payment was paid.
 */
final class PaymentPaid extends PaymentEvent
{
}
