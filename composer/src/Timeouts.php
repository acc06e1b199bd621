<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

use Trastienda\Laravel\Exceptions\InvalidConfig;

/**
 * How many milliseconds PHP may lose, by what is being waited for.
 */
final class Timeouts
{
    private function __construct(
        public readonly int $connectMs,
        public readonly int $localMs,
        public readonly int $hubConnectMs,
        public readonly int $hubMs,
        public readonly int $syncMs,
    ) {
    }

    /**
     * @param  array<array-key, mixed>  $config
     */
    public static function fromConfig(array $config): self
    {
        return new self(
            connectMs: self::millis($config, 'connect', 50),
            localMs: self::millis($config, 'local', 1000),
            hubConnectMs: self::millis($config, 'hub_connect', 2000),
            hubMs: self::millis($config, 'hub', 5000),
            syncMs: self::millis($config, 'sync', 15000),
        );
    }

    /**
     * How many seconds the hub may be asked to wait when PHP waits `$timeoutMs`.
     *
     * The agent allows the hub five seconds more than that, so five seconds less (or half,
     * of a short time) lets its answer arrive first. Zero: there is no time to wait.
     */
    public static function waitWithin(int $timeoutMs): int
    {
        return min(25, intdiv($timeoutMs - min(5000, intdiv($timeoutMs, 2)), 1000));
    }

    /**
     * @param  array<array-key, mixed>  $config
     */
    private static function millis(array $config, string $name, int $default): int
    {
        $value = filter_var($config[$name] ?? $default, FILTER_VALIDATE_INT, ['options' => ['min_range' => 1]]);

        return $value === false ? throw InvalidConfig::badTimeout($name) : $value;
    }
}
