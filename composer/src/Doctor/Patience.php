<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Doctor;

use Closure;

/**
 * Waits for what another program does. Only commands do this; a shop's request never waits here.
 */
final class Patience
{
    /**
     * Asks until the answer is yes, or for that many seconds; says whether it was.
     *
     * @param  Closure(): bool  $condition
     */
    public static function until(float $seconds, Closure $condition): bool
    {
        $deadline = hrtime(true) + (int) ($seconds * 1_000_000_000);
        $pause = 50_000;

        while (! $condition()) {
            if (hrtime(true) >= $deadline) {
                return false;
            }

            usleep($pause);
            $pause = min(1_000_000, $pause * 2);
        }

        return true;
    }
}
