<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Payments;

/**
 * The key that makes a repeated payment the same payment.
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
