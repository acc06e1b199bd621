<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

use Illuminate\Foundation\Application;
use Trastienda\Laravel\Contracts\ReceivedWebhooks;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Features\Features;
use Trastienda\Laravel\Outgoing\Outbox;
use Trastienda\Laravel\Outgoing\Outgoing;
use Trastienda\Laravel\Payments\Payments;

/**
 * What the container has built from the settings, so that other settings can take effect.
 */
final class Instances
{
    public static function forget(Application $app): void
    {
        foreach ([
            Settings::class, Transport::class, Outgoing::class, Outbox::class, Payments::class,
            Features::class, ReceivedWebhooks::class, Trastienda::class,
        ] as $built) {
            $app->forgetInstance($built);
        }

        Facades\Trastienda::clearResolvedInstance(Trastienda::class);
    }
}
