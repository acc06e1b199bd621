<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks\Events;

use Trastienda\Laravel\Payments\Payment;

/**
 * Something about a payment.
 */
abstract class PaymentEvent extends WebhookEvent
{
    /**
     * The payment as it stood when this was told. It may have moved since: `payments()->get()` knows.
     */
    public function payment(): Payment
    {
        return Payment::fromArray(['id' => $this->text('payment_id')] + $this->webhook->data);
    }
}
