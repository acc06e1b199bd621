<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Payments;

/**
 * Where a payment stands. What lies beneath is `Payment::$detail`.
 */
enum PaymentStatus: string
{
    case Pending = 'pending';
    case Paid = 'paid';
    case Failed = 'failed';

    /**
     * A word that this version does not know is not paid and not failed.
     */
    public static function read(mixed $status): self
    {
        return (is_string($status) ? self::tryFrom($status) : null) ?? self::Pending;
    }
}
