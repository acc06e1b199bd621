<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

/**
 * Which of Laravel's queues takes what is handed to one; null stands for Laravel's default.
 */
final class QueueSettings
{
    private function __construct(public readonly ?string $connection, public readonly ?string $name)
    {
    }

    /**
     * @param  array<array-key, mixed>  $config
     */
    public static function fromConfig(array $config): self
    {
        return new self(self::text($config['connection'] ?? null), self::text($config['name'] ?? null));
    }

    private static function text(mixed $value): ?string
    {
        return is_string($value) && $value !== '' ? $value : null;
    }
}
