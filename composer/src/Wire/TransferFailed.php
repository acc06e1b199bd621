<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Wire;

use RuntimeException;

/**
 * No answer came. Whether the call had left is what decides who may try again.
 *
 * Internal: transports turn it into one of `Trastienda\Exception`.
 */
final class TransferFailed extends RuntimeException
{
    private function __construct(string $message, public readonly bool $hadLeft, public readonly bool $connectionLost)
    {
        parent::__construct($message);
    }

    public static function beforeSending(string $reason): self
    {
        return new self($reason, hadLeft: false, connectionLost: false);
    }

    public static function afterSending(string $reason, bool $connectionLost): self
    {
        return new self($reason, hadLeft: true, connectionLost: $connectionLost);
    }
}
