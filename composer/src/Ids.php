<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

/**
 * Makes the ids that a call carries through every retry and fallback.
 *
 * A prefix and a UUIDv7 in 32 hex digits. They are made here, before the first byte
 * leaves, because only the caller can know that two attempts are the same thing.
 */
final class Ids
{
    public static function event(): string
    {
        return 'evt_'.self::uuidV7();
    }

    public static function notification(): string
    {
        return 'ntf_'.self::uuidV7();
    }

    public static function payment(): string
    {
        return 'pay_'.self::uuidV7();
    }

    private static function uuidV7(): string
    {
        // The twelve bits after the version hold the fraction of the millisecond, so that
        // ids made one after the other also sort one after the other.
        [$fraction, $seconds] = explode(' ', microtime());
        $micros = (int) round((float) $fraction * 1_000_000);
        $millis = (int) $seconds * 1000 + intdiv($micros, 1000);
        $within = intdiv(($micros % 1000) * 4096, 1000);

        return sprintf(
            '%012x7%03x%04x%012s',
            $millis,
            $within,
            random_int(0, 0x3FFF) | 0x8000,
            bin2hex(random_bytes(6)),
        );
    }
}
