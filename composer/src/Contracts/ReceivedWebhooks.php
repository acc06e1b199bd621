<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Contracts;

use Closure;

/**
 * Remembers which webhooks were handled, so that each is handled once.
 */
interface ReceivedWebhooks
{
    /**
     * Runs `$handle` unless `$id` was handled before; says whether it ran.
     *
     * When `$handle` throws, the id counts as never seen: the hub will deliver it again,
     * and that delivery must not be taken for a duplicate.
     */
    public function once(string $id, string $type, Closure $handle): bool;

    /**
     * Whether `$id` was handled.
     */
    public function has(string $id): bool;

    /**
     * Forgets what was handled longer ago than that; says how many. Only what the hub would
     * no longer send may be forgotten, or it is handled again.
     */
    public function forgetOlderThan(int $days): int;
}
