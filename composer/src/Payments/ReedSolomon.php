<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Payments;

/**
 * Error correction of a QR code: the remainder of a division over GF(2^8), modulus 0x11D.
 */
final class ReedSolomon
{
    /**
     * @param  list<int>  $data
     * @param  positive-int  $length
     * @return list<int>
     */
    public static function remainder(array $data, int $length): array
    {
        $divisor = self::divisor($length);
        $rest = array_fill(0, $length, 0);

        foreach ($data as $byte) {
            $factor = $byte ^ (int) array_shift($rest);
            $rest[] = 0;

            foreach ($divisor as $at => $coefficient) {
                $rest[$at] ^= self::times($coefficient, $factor);
            }
        }

        return $rest;
    }

    /**
     * (x - 1)(x - 2)(x - 4)… without its leading one.
     *
     * @param  positive-int  $length
     * @return list<int>
     */
    private static function divisor(int $length): array
    {
        $divisor = [...array_fill(0, $length - 1, 0), 1];

        for ($i = 0, $root = 1; $i < $length; $i++, $root = self::times($root, 2)) {
            foreach ($divisor as $at => $coefficient) {
                $divisor[$at] = self::times($coefficient, $root) ^ ($divisor[$at + 1] ?? 0);
            }
        }

        return $divisor;
    }

    private static function times(int $a, int $b): int
    {
        $product = 0;

        for ($i = 7; $i >= 0; $i--) {
            $product = ($product << 1) ^ (($product >> 7) * 0x11D);
            $product ^= ($b >> $i & 1) * $a;
        }

        return $product;
    }
}
