<?php

declare(strict_types=1);

/*
 * What `vendor/autoload.php` is in a shop of your own. Here no package registry is needed:
 * the framework is the one that the operating system ships (Debian: php-laravel-framework)
 * and the package is the one in this repository.
 *
 * Returns the function that adds a shop's own namespace.
 */

require_once 'Illuminate/autoload.php';

// Laravel's HTTP client, for the shop that calls Mercado Pago itself.
if (stream_resolve_include_path('GuzzleHttp/autoload.php') !== false) {
    require_once 'GuzzleHttp/autoload.php';
}

$register = static function (string $prefix, string $directory): void {
    spl_autoload_register(static function (string $class) use ($prefix, $directory): void {
        $file = $directory.'/'.str_replace('\\', '/', substr($class, strlen($prefix))).'.php';

        if (str_starts_with($class, $prefix) && is_file($file)) {
            require $file;
        }
    });
};

$register('Trastienda\\Laravel\\', dirname(__DIR__, 2).'/composer/src');
$register('Trastienda\\Exception\\', dirname(__DIR__, 2).'/composer/exceptions');

return $register;
