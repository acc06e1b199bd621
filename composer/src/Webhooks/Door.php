<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

use Illuminate\Contracts\Config\Repository;
use Illuminate\Contracts\Container\Container;
use Illuminate\Routing\Router;
use RuntimeException;

/**
 * Where `Route::trastiendaWebhooks()` is in this shop, whatever group it was put in.
 */
final class Door
{
    public static function exists(Container $app): bool
    {
        return self::find($app) !== null;
    }

    /**
     * Its path, from the root of the shop.
     */
    public static function path(Container $app): string
    {
        return self::find($app) ?? throw new RuntimeException('There is no route for webhooks: add Route::trastiendaWebhooks(); to routes/web.php.');
    }

    /**
     * Its address, by APP_URL.
     */
    public static function url(Container $app): string
    {
        $root = $app->make(Repository::class)->get('app.url');

        return rtrim(is_string($root) ? $root : 'http://localhost', '/').self::path($app);
    }

    private static function find(Container $app): ?string
    {
        foreach ($app->make(Router::class)->getRoutes()->getRoutes() as $route) {
            if (ltrim((string) strtok($route->getActionName(), '@'), '\\') === WebhookController::class) {
                return '/'.ltrim($route->uri(), '/');
            }
        }

        return null;
    }
}
