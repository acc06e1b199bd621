<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

/**
 * Whether and where calls wait in the shop's own database.
 */
final class OutboxSettings
{
    public const TABLE = 'trastienda_outbox';

    private function __construct(
        public readonly bool $enabled,
        public readonly string $table,
        public readonly ?string $connection,
        public readonly bool $atOnce,
    ) {
    }

    /**
     * @param  array<array-key, mixed>  $config
     */
    public static function fromConfig(array $config): self
    {
        $table = $config['table'] ?? null;
        $connection = $config['connection'] ?? null;

        return new self(
            enabled: (bool) ($config['enabled'] ?? false),
            table: is_string($table) && $table !== '' ? $table : self::TABLE,
            connection: is_string($connection) && $connection !== '' ? $connection : null,
            atOnce: (bool) ($config['at_once'] ?? true),
        );
    }
}
