<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks\Events;

/**
 * `payment.disputed`: a customer disputes a payment.
 */
final class PaymentDisputed extends PaymentEvent
{
}
