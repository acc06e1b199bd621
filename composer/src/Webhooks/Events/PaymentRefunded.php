<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks\Events;

/**
 * `payment.refunded`: money was given back; `payment()->amountRefunded` says how much in all.
 */
final class PaymentRefunded extends PaymentEvent
{
}
