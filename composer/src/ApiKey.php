<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

use SensitiveParameter;

/**
 * The form of a key: `tk_live_` or `tk_test_`, 12 characters, `_`, 43, and a checksum of 6.
 *
 * Tells a key that was mistyped or cut short without asking anybody.
 */
final class ApiKey
{
    /**
     * What is wrong with it; null when nothing is.
     */
    public static function problem(#[SensitiveParameter] string $key): ?string
    {
        if (preg_match('/^tk_(live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/', $key) !== 1) {
            return 'no tiene la forma tk_live_… o tk_test_…, de 70 caracteres';
        }

        return self::checksum(substr($key, 0, -6)) === substr($key, -6) ? null : 'está mal copiada: su dígito de control no coincide';
    }

    private static function checksum(#[SensitiveParameter] string $text): string
    {
        $digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
        $number = crc32($text);
        $result = '';

        for ($i = 0; $i < 6; $i++) {
            $result = substr($digits, $number % 62, 1).$result;
            $number = intdiv($number, 62);
        }

        return $result;
    }
}
