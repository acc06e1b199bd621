<?php

declare(strict_types=1);

namespace Shop\Providers;

use Illuminate\Console\Scheduling\Schedule;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\ServiceProvider;
use Shop\Console\OrderCommand;
use Shop\Integration\ReconcilePayments;

/**
 * The shop's routes and commands, and what runs by the clock.
 */
final class ShopServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        Route::group([], $this->app->basePath('routes/web.php'));
        $this->commands([OrderCommand::class, ReconcilePayments::class]);
        $this->app->afterResolving(Schedule::class, function (Schedule $schedule): void {
            $schedule->command('shop:reconcile')->everyFiveMinutes()->withoutOverlapping();
        });
    }
}
