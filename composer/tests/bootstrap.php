<?php

declare(strict_types=1);

/*
 * Finds the classes: Composer's when the package was installed with it, otherwise the
 * framework that the operating system ships (Debian: php-laravel-framework) and our own
 * by the same PSR-4 rules as composer.json.
 */

if (is_file(__DIR__.'/../vendor/autoload.php')) {
    require __DIR__.'/../vendor/autoload.php';

    return;
}

require_once 'Illuminate/autoload.php';

if (stream_resolve_include_path('Symfony/Component/Mailer/autoload.php') !== false) {
    // Not among what Laravel 8 needs.
    require_once 'Symfony/Component/Mailer/autoload.php';
}

spl_autoload_register(static function (string $class): void {
    $roots = [
        'Trastienda\\Laravel\\Tests\\' => __DIR__.'/',
        'Trastienda\\Laravel\\' => __DIR__.'/../src/',
        'Trastienda\\Exception\\' => __DIR__.'/../exceptions/',
    ];

    foreach ($roots as $prefix => $directory) {
        if (str_starts_with($class, $prefix)) {
            $file = $directory.str_replace('\\', '/', substr($class, strlen($prefix))).'.php';

            if (is_file($file)) {
                require $file;
            }

            return;
        }
    }
});
