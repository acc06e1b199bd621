<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

/**
 * The key that makes a repeat the same thing.
 *
 * Derived, never random: a customer who presses twice, a retried job and a reloaded page
 * all arrive at the same key, and so at one charge. A second attempt on purpose (another
 * card after a rejection) says so with `attempt`.
 */
final class IdempotencyKey
{
    public static function forPayment(string $orderId, int $attempt): string
    {
        return self::printable("order-$orderId-payment-$attempt");
    }

    public static function forRefund(string $paymentId, ?string $amount, int $attempt): string
    {
        return self::printable("$paymentId-refund-".($amount ?? 'all')."-$attempt");
    }

    /**
     * From the order and the action: this template, to this address, saying this. Null where
     * order or template is missing.
     *
     * @param  array<array-key, mixed>  $notification
     */
    public static function forNotification(array $notification, int $attempt): ?string
    {
        $order = $notification['order_id'] ?? null;
        $template = $notification['template'] ?? null;
        $channel = $notification['channel'] ?? null;
        $to = $notification['to'] ?? null;

        if (! is_string($order) || ! is_string($template) || ! is_string($channel) || ! is_string($to)) {
            return null;
        }

        // Whom it is for stays out of a text that is logged. What it says is in it, so that
        // a reminder with another amount is another mail and not a conflict.
        $said = hash('sha256', serialize([$to, $notification['data'] ?? [], $notification['locale'] ?? null]));

        return self::printable("order-$order-$channel-$template-".substr($said, 0, 24)."-$attempt");
    }

    public static function forCancel(string $paymentId): string
    {
        return self::printable("$paymentId-cancel");
    }

    /**
     * The contract takes 1 to 255 printable ASCII characters; an order id may be any text.
     */
    private static function printable(string $key): string
    {
        return preg_match('/^[\x21-\x7E]{1,255}$/', $key) === 1 ? $key : 'sha256-'.hash('sha256', $key);
    }
}
