<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Support;

use RuntimeException;

/**
 * This process's own directory under the system's temporary one; gone when it ends.
 *
 * Holds what Laravel writes, and a `vendor` directory in which Composer appears to have
 * installed this package, so that discovery runs on the real composer.json.
 */
final class Workspace
{
    private static ?self $instance = null;

    public readonly string $storage;

    public readonly string $vendor;

    private function __construct(private readonly string $root)
    {
        $this->storage = "$root/storage";
        $this->vendor = "$root/vendor";

        foreach (["$this->storage/framework/views", "$this->storage/framework/cache", "$this->storage/logs", "$this->vendor/composer", "$root/cache"] as $directory) {
            if (! mkdir($directory, 0700, true)) {
                throw new RuntimeException("Cannot make $directory.");
            }
        }

        $package = json_decode((string) file_get_contents(__DIR__.'/../../composer.json'), true, 512, JSON_THROW_ON_ERROR);
        file_put_contents("$this->vendor/composer/installed.json", json_encode(['packages' => [$package]], JSON_THROW_ON_ERROR));

        foreach (['CONFIG', 'EVENTS', 'PACKAGES', 'ROUTES', 'SERVICES'] as $name) {
            putenv("APP_{$name}_CACHE=$root/cache/".strtolower($name).'.php');
        }
    }

    public static function make(): self
    {
        if (self::$instance === null) {
            // Short: a socket's path has room for about a hundred bytes.
            self::$instance = new self(sys_get_temp_dir().'/tls-'.bin2hex(random_bytes(6)));
            register_shutdown_function(self::$instance->remove(...), getmypid());
        }

        return self::$instance;
    }

    public function path(string $name): string
    {
        return "$this->root/$name";
    }

    private function remove(int $owner): void
    {
        if (getmypid() === $owner) {
            (new \Illuminate\Filesystem\Filesystem())->deleteDirectory($this->root);
        }
    }
}
