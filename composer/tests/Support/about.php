<?php

declare(strict_types=1);

namespace Illuminate\Foundation\Console;

// `php artisan about` came with Laravel 9.21: what its class is asked for, where it is not.
if (! class_exists(AboutCommand::class)) {
    class AboutCommand
    {
        private static array $sections = [];

        public static function add(string $section, callable|string|array $data, ?string $value = null): void
        {
            self::$sections[$section] = $data;
        }

        public static function section(string $section): array
        {
            return (self::$sections[$section])();
        }
    }
}
