<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Events;

use Illuminate\Contracts\Container\Container;
use Throwable;
use Trastienda\Laravel\Contracts\ShouldReachTrastienda;
use Trastienda\Laravel\Trastienda;

/**
 * Listens to every event that should reach the hub. Never breaks whoever dispatched it.
 */
final class TellTrastienda
{
    public function __construct(private readonly Container $app)
    {
    }

    public function handle(ShouldReachTrastienda $event): void
    {
        try {
            if (ShopEvent::isWanted($event)) {
                $this->app->make(Trastienda::class)->event(ShopEvent::type($event), ShopEvent::data($event), ShopEvent::options($event));
            }
        } catch (Throwable $exception) {
            report($exception);
        }
    }
}
