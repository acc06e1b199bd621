<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

use Illuminate\Contracts\Cache\Factory;
use Illuminate\Contracts\Cache\Repository;
use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Contracts\Container\Container;
use Illuminate\Contracts\Events\Dispatcher;
use Illuminate\Database\DatabaseManager;
use Illuminate\Routing\Route;
use Illuminate\Routing\Router;
use Illuminate\Support\Facades\Route as Routes;
use Illuminate\Support\ServiceProvider;
use Throwable;
use Trastienda\Laravel\Console\DoctorCommand;
use Trastienda\Laravel\Console\InstallCommand;
use Trastienda\Laravel\Console\OutboxCommand;
use Trastienda\Laravel\Console\StatusCommand;
use Trastienda\Laravel\Console\TestCommand;
use Trastienda\Laravel\Console\TriggerCommand;
use Trastienda\Laravel\Console\WebhooksCommand;
use Trastienda\Laravel\Contracts\ReceivedWebhooks;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Features\Features;
use Trastienda\Laravel\Outgoing\Outbox;
use Trastienda\Laravel\Outgoing\Outgoing;
use Trastienda\Laravel\Payments\Payments;
use Trastienda\Laravel\Payments\RememberedIds;
use Trastienda\Laravel\Queue\JobKeys;
use Trastienda\Laravel\Transports\LazyTransport;
use Trastienda\Laravel\Webhooks\DatabaseReceivedWebhooks;
use Trastienda\Laravel\Webhooks\EventClasses;
use Trastienda\Laravel\Webhooks\VerifyWebhookSignature;
use Trastienda\Laravel\Webhooks\WebhookController;
use Trastienda\Laravel\Webhooks\WebhookHandler;
use Trastienda\Laravel\Webhooks\WebhookSettings;

/**
 * Ties the package to Laravel. Nothing is read, checked or opened before it is used.
 */
final class TrastiendaServiceProvider extends ServiceProvider
{
    /** Laravel's own CSRF guards, by their names through the years. */
    private const CSRF = [
        'Illuminate\Foundation\Http\Middleware\VerifyCsrfToken',
        'Illuminate\Foundation\Http\Middleware\ValidateCsrfToken',
        'Illuminate\Foundation\Http\Middleware\PreventRequestForgery',
    ];

    public function register(): void
    {
        $this->mergeConfigFrom(__DIR__.'/../config/trastienda.php', 'trastienda');

        $this->registerCalls();
        $this->registerWebhooks();

        // Only what reads settings by itself, so that `MAIL_MAILER=trastienda` is all it takes.
        (new Integrations($this->app))->register();
    }

    public function boot(): void
    {
        (new Integrations($this->app))->boot();

        $this->loadViewsFrom(__DIR__.'/../resources/views', 'trastienda');

        if (! $this->app->runningInConsole()) {
            return;
        }

        $this->loadMigrationsFrom(__DIR__.'/../database/migrations');
        $this->publishes([__DIR__.'/../config/trastienda.php' => $this->app->configPath('trastienda.php')], 'trastienda-config');
        $this->publishes([__DIR__.'/../database/migrations' => $this->app->databasePath('migrations')], 'trastienda-migrations');
        $this->publishes([__DIR__.'/../resources/views' => $this->app->resourcePath('views/vendor/trastienda')], 'trastienda-views');
        $this->commands([
            StatusCommand::class, InstallCommand::class, DoctorCommand::class, TestCommand::class,
            TriggerCommand::class, WebhooksCommand::class, OutboxCommand::class,
        ]);
    }

    private function registerCalls(): void
    {
        $this->app->singleton(Settings::class, fn (Container $app): Settings => Settings::fromConfig((array) $app->make(Config::class)->get('trastienda', [])));
        $this->app->singleton(Extension::class);
        $this->app->singleton(JobKeys::class);
        $this->app->singleton(Transport::class, LazyTransport::class);
        $this->app->singleton(Outgoing::class);
        $this->app->singleton(Outbox::class, fn (Container $app): Outbox => new Outbox($app->make(DatabaseManager::class), $app->make(Settings::class)->outbox, $app->make(Transport::class)));
        $this->app->singleton(Payments::class, fn (Container $app): Payments => new Payments(
            $app->make(Transport::class),
            $app->make(Settings::class)->timeouts,
            new RememberedIds(self::cache($app), self::project($app)),
        ));
        $this->app->singleton(Features::class, fn (Container $app): Features => new Features(
            $app->make(Transport::class),
            self::cache($app),
            $app->make(Settings::class)->featureTtl,
            self::project($app),
        ));
        $this->app->singleton(Trastienda::class);
    }

    private function registerWebhooks(): void
    {
        $this->app->singleton(ReceivedWebhooks::class, function (Container $app): ReceivedWebhooks {
            $settings = WebhookSettings::read($app->make(Config::class));

            return new DatabaseReceivedWebhooks($app->make(DatabaseManager::class), $settings->connection, $settings->table);
        });
        $this->app->bind(WebhookHandler::class, function (Container $app): WebhookHandler {
            $settings = WebhookSettings::read($app->make(Config::class));

            return new WebhookHandler($app->make(ReceivedWebhooks::class), $app->make(Dispatcher::class), new EventClasses($settings->events), $settings->handlesReplays);
        });

        // Here and not in boot(), so that it exists whenever a shop's routes are read. The
        // router makes the closure its own: `self` would be the router. The backslash keeps the
        // namespace away that a shop's route group may put in front of its controllers.
        $guards = self::CSRF;
        Router::macro('trastiendaWebhooks', fn (string $path = 'webhooks/trastienda'): Route => Routes::post($path, '\\'.WebhookController::class)
            ->middleware(VerifyWebhookSignature::class)
            ->withoutMiddleware($guards)
            ->name('trastienda.webhooks'));
    }

    /**
     * The shop's cache, or none: what is kept there is a convenience.
     */
    private static function cache(Container $app): ?Repository
    {
        try {
            return $app->make(Factory::class)->store();
        } catch (Throwable) {
            return null;
        }
    }

    /**
     * What sets this project's entries in a shared cache apart from another's.
     */
    private static function project(Container $app): string
    {
        $settings = $app->make(Settings::class);

        return hash('sha256', ($settings->key ?? '')."\n".$settings->socketPath());
    }
}
