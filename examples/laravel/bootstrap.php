<?php

declare(strict_types=1);

/*
 * Starts Laravel for one of the shops: `(require '…/laravel/bootstrap.php')($shopDirectory)`.
 *
 * It stands for what a new Laravel project brings along, so that the shops beside it hold
 * only what a shop adds. Everything Laravel writes goes under SHOP_STORAGE (default: the
 * shop's own `storage/`), so that the code can sit on a read-only disk.
 */

use Illuminate\Contracts\Console\Kernel as ConsoleKernel;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Contracts\Http\Kernel as HttpKernel;
use Illuminate\Foundation\Application;
use Illuminate\Foundation\Bootstrap\LoadConfiguration;
use Illuminate\Foundation\Bootstrap\LoadEnvironmentVariables;
use Illuminate\Foundation\PackageManifest;
use Illuminate\Support\Env;

return static function (string $shop): Application {
    $register = require __DIR__.'/autoload.php';
    $register('Shop\\', "$shop/app");

    $app = new Application($shop);
    (new LoadEnvironmentVariables())->bootstrap($app);

    $storage = rtrim((string) Env::get('SHOP_STORAGE', "$shop/storage"), '/');
    $database = (string) Env::get('SHOP_DB', "$storage/shop.sqlite");

    foreach (['app', 'logs', 'framework/cache', 'framework/views', 'bootstrap', 'vendor/composer'] as $directory) {
        if (! is_dir("$storage/$directory") && ! @mkdir("$storage/$directory", 0775, true) && ! is_dir("$storage/$directory")) {
            throw new RuntimeException("Cannot create $storage/$directory.");
        }
    }

    if (! is_file($database) && ! touch($database)) {
        throw new RuntimeException("Cannot create $database.");
    }

    foreach (['CONFIG', 'EVENTS', 'PACKAGES', 'ROUTES', 'SERVICES'] as $name) {
        putenv("APP_{$name}_CACHE=$storage/bootstrap/".strtolower($name).'.php');
    }

    // The list of installed packages that Composer would have written, from which Laravel
    // discovers the service provider and the facade.
    $package = dirname(__DIR__, 2).'/composer/composer.json';
    $installed = "$storage/vendor/composer/installed.json";
    $list = json_encode(['packages' => [json_decode((string) file_get_contents($package), true, 512, JSON_THROW_ON_ERROR)]], JSON_THROW_ON_ERROR);

    if (! is_file($installed) || file_get_contents($installed) !== $list) {
        $temporary = $installed.'.'.bin2hex(random_bytes(6));
        file_put_contents($temporary, $list);
        rename($temporary, $installed);
        @unlink("$storage/bootstrap/packages.php");
    }

    $app->useStoragePath($storage);
    $app->make(PackageManifest::class)->vendorPath = "$storage/vendor";
    $app->singleton(HttpKernel::class, \Illuminate\Foundation\Http\Kernel::class);
    $app->singleton(ConsoleKernel::class, \Illuminate\Foundation\Console\Kernel::class);
    $app->singleton(ExceptionHandler::class, \Illuminate\Foundation\Exceptions\Handler::class);

    // The framework's usual configuration; a file of the same name in the shop wins.
    $app->afterBootstrapping(LoadConfiguration::class, static function (Application $app) use ($database): void {
        foreach (glob(__DIR__.'/config/*.php') ?: [] as $file) {
            $name = basename($file, '.php');

            if (! $app['config']->has($name)) {
                $app['config']->set($name, require $file);
            }
        }

        $app['config']->set('database.connections.sqlite.database', $database);
    });

    return $app;
};
