<?php

declare(strict_types=1);

namespace Shop\Integration;

use InvalidArgumentException;

/**
 * A wa.me link for an Argentine number, which wants 549, no 0 and no 15.
 */
final class WhatsApp
{
    public static function link(string $phone, string $text): string
    {
        $digits = (string) preg_replace('/\D/', '', $phone);
        $digits = (string) preg_replace('/^(00)?54/', '', $digits);
        $digits = ltrim((string) preg_replace('/^9/', '', $digits), '0');

        // An area code has two to four digits; ten remain once the 15 after it is gone.
        if (strlen($digits) === 12) {
            foreach ([2, 3, 4] as $length) {
                if (substr($digits, $length, 2) === '15') {
                    $digits = substr($digits, 0, $length).substr($digits, $length + 2);

                    break;
                }
            }
        }

        if (strlen($digits) !== 10) {
            throw new InvalidArgumentException("$phone is no Argentine mobile number.");
        }

        return "https://wa.me/549$digits?text=".rawurlencode($text);
    }
}
