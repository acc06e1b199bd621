<?php

declare(strict_types=1);

namespace Shop\Integration;

use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;

/**
 * Asks the provider about a payment: a notice's word is never taken.
 */
final class AskPayment implements ShouldQueue
{
    use Dispatchable;
    use InteractsWithQueue;
    use Queueable;

    public int $tries = 8;

    /** @var list<int> */
    public array $backoff = [5, 30, 120, 600, 1800, 7200, 21600];

    public function __construct(public string $providerId)
    {
    }

    public function handle(MercadoPago $provider, Checkout $checkout): void
    {
        $checkout->settle($provider->payment($this->providerId));
    }
}
