<?php

declare(strict_types=1);

namespace Shop\Integration;

use Illuminate\Support\Facades\DB;
use Shop\Order;

/**
 * An order's payment: one per order and attempt, and where it stands.
 */
final class Checkout
{
    public function __construct(private readonly MercadoPago $provider, private readonly Webhooks $webhooks)
    {
    }

    /**
     * @return object the payment's row
     */
    public function start(Order $order): object
    {
        $key = "order-$order->id-payment-1";
        DB::table('payments')->insertOrIgnore(['id' => 'pay_'.bin2hex(random_bytes(16)), 'order_id' => $order->id, 'idempotency_key' => $key, 'amount' => $order->total, 'status' => 'pending', 'created_at' => now(), 'asked_at' => now()]);
        $payment = DB::table('payments')->where('idempotency_key', $key)->first();

        if ($payment->preference_id === null) {
            $preference = $this->provider->createPreference($order, $payment->id, $key);
            DB::table('payments')->where('id', $payment->id)->update(['preference_id' => $preference['id'], 'checkout_url' => $preference['init_point']]);
        }

        return DB::table('payments')->find($payment->id);
    }

    /**
     * Takes in what the provider says of one of its payments. Never moves a payment back.
     *
     * @param  array<string, mixed>  $said
     */
    public function settle(array $said): void
    {
        DB::transaction(function () use ($said): void {
            $payment = DB::table('payments')->where('id', $said['external_reference'] ?? '')->lockForUpdate()->first();

            if ($payment === null || number_format((float) $said['transaction_amount'], 2, '.', '') !== $payment->amount) {
                report(new \RuntimeException("Mercado Pago's payment {$said['id']} is none of this shop's, or of another amount."));

                return;
            }

            $status = match ($said['status']) {
                'approved' => 'paid',
                'cancelled', 'expired' => 'failed',
                // A refused attempt leaves the checkout open; a refund leaves what was paid, paid.
                'refunded', 'charged_back' => 'paid',
                default => 'pending',
            };
            DB::table('payments')->where('id', $payment->id)->update(['asked_at' => now(), 'detail' => $said['status_detail'] ?? null, 'external_id' => (string) $said['id']]);

            if ($status === $payment->status || $payment->status === 'paid') {
                return;
            }

            DB::table('payments')->where('id', $payment->id)->update(['status' => $status]);

            if ($status === 'paid' && Order::whereKey($payment->order_id)->where('status', '!=', 'paid')->update(['status' => 'paid']) === 1) {
                $this->webhooks->send('order.paid', ['order_id' => $payment->order_id, 'payment_id' => $payment->id, 'amount' => $payment->amount]);
            }
        });
    }
}
