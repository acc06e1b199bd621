<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Payments;

use Illuminate\Contracts\Cache\Repository;
use Throwable;
use Trastienda\Laravel\Ids;

/**
 * Gives the same payment id to every repeat of the same payment, across requests.
 *
 * A convenience kept in the shop's cache: it makes a repeat the same bytes, so that a
 * customer who comes back after a time-out continues the payment whose id the shop was
 * told. What prevents a second charge is the idempotency key, at the hub; a lost cache
 * only means a new id that the hub answers with the old payment.
 */
final class RememberedIds
{
    private const SECONDS = 7 * 24 * 3600;

    public function __construct(private readonly ?Repository $cache, private readonly string $project)
    {
    }

    public function forKey(string $idempotencyKey): string
    {
        $id = Ids::payment();
        $name = 'trastienda:payment:'.hash('sha256', $this->project."\n".$idempotencyKey);

        try {
            // `add` writes only when nothing is there, so that of two requests at once the
            // later one reads what the earlier one made.
            if ($this->cache === null || $this->cache->add($name, $id, self::SECONDS)) {
                return $id;
            }

            $known = $this->cache->get($name);

            return is_string($known) ? $known : $id;
        } catch (Throwable) {
            return $id;
        }
    }
}
