<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Payments;

use Trastienda\Laravel\Facades\Trastienda;

/**
 * Payments of an order, for its Eloquent model: `$order->createPayment()`.
 *
 * Nothing is kept in the shop: the hub knows an order's payments. What a payment is made of
 * is read from the attributes that most shops have; override a method where yours differ.
 *
 * @phpstan-require-extends \Illuminate\Database\Eloquent\Model
 */
trait HasPayments
{
    /**
     * Starts the order's payment; called again, it is the same one. After a rejection, offer
     * another with `['attempt' => 2]`.
     *
     * @param  array<string, mixed>  $payment  what differs from the order's own: `method`, `back_urls`, `items`, …
     * @param  array<string, mixed>  $options  as `Trastienda::payments()->create()` takes them
     */
    public function createPayment(array $payment = [], array $options = []): Payment
    {
        return Trastienda::payments()->create($payment + [
            'order_id' => $this->paymentOrderId(),
            'amount' => $this->paymentAmount(),
            'currency' => $this->paymentCurrency(),
            'description' => $this->paymentDescription(),
            'method' => 'checkout',
            'payer' => $this->paymentPayer(),
        ], $options);
    }

    /**
     * The order's payments, newest first.
     *
     * @return list<Payment>
     */
    public function payments(): array
    {
        return Trastienda::payments()->forOrder($this->paymentOrderId());
    }

    public function latestPayment(): ?Payment
    {
        return $this->payments()[0] ?? null;
    }

    /**
     * The payment that was paid, if one was.
     */
    public function paidPayment(): ?Payment
    {
        foreach ($this->payments() as $payment) {
            if ($payment->isPaid()) {
                return $payment;
            }
        }

        return null;
    }

    /**
     * Gives back `$amount` of what was paid, or everything; null when nothing was paid.
     *
     * @param  array<string, mixed>  $options
     */
    public function refundPayment(?string $amount = null, array $options = []): ?Refund
    {
        $paid = $this->paidPayment();

        return $paid === null ? null : Trastienda::payments()->refund($paid->id, $amount, $options);
    }

    protected function paymentOrderId(): string
    {
        return (string) $this->getKey();
    }

    /**
     * A decimal text, never a float.
     */
    protected function paymentAmount(): string
    {
        $amount = $this->getAttribute('total') ?? $this->getAttribute('amount');

        return is_int($amount) ? "$amount" : (is_float($amount) ? number_format($amount, 2, '.', '') : (string) $amount);
    }

    protected function paymentCurrency(): string
    {
        return (string) ($this->getAttribute('currency') ?? config('trastienda.currency', 'ARS'));
    }

    protected function paymentDescription(): string
    {
        return (string) ($this->getAttribute('description') ?? "Pedido {$this->paymentOrderId()}");
    }

    /**
     * @return array<string, mixed>
     */
    protected function paymentPayer(): array
    {
        return array_filter([
            'email' => $this->getAttribute('email') ?? $this->getAttribute('customer_email'),
            'first_name' => $this->getAttribute('name') ?? $this->getAttribute('customer_name'),
        ], 'is_string');
    }
}
