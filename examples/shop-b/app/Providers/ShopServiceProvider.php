<?php

declare(strict_types=1);

namespace Shop\Providers;

use Illuminate\Support\Facades\Event;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\ServiceProvider;
use Shop\Console\OrderCommand;
use Shop\Listeners\RecordWebhook;
use Trastienda\Laravel\Webhooks\WebhookReceived;

/**
 * The shop's routes, its command, and who listens to the hub.
 */
final class ShopServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        Route::group([], $this->app->basePath('routes/web.php'));
        Event::listen(WebhookReceived::class, [RecordWebhook::class, 'handle']);
        $this->commands([OrderCommand::class]);
    }
}
