<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks\Events;

/**
 * `payment.failed`: a payment failed; it may yet be paid, when the provider says so.
 */
final class PaymentFailed extends PaymentEvent
{
}
