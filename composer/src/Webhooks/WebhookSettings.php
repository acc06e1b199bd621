<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

use Illuminate\Contracts\Config\Repository as Config;
use SensitiveParameter;

/**
 * What `config/trastienda.php` says of webhooks, typed. Read for each request: a worker serves
 * many, and a test changes it.
 */
final class WebhookSettings
{
    public const TABLE = 'trastienda_webhooks';

    /**
     * @param  string|list<string>|null  $secret
     * @param  array<array-key, mixed>  $events
     */
    private function __construct(
        #[SensitiveParameter] public readonly string|array|null $secret,
        public readonly int $tolerance,
        public readonly bool $handlesReplays,
        public readonly bool $queued,
        public readonly ?string $queue,
        public readonly ?string $queueConnection,
        public readonly array $events,
        public readonly string $table,
        public readonly ?string $connection,
    ) {
    }

    public static function read(Config $config): self
    {
        $values = $config->get('trastienda.webhooks');
        $values = is_array($values) ? $values : [];
        $text = fn (string $name): ?string => is_string($values[$name] ?? null) && $values[$name] !== '' ? $values[$name] : null;
        $secret = $values['secret'] ?? null;
        $tolerance = $values['tolerance'] ?? 300;
        $events = $values['events'] ?? [];

        return new self(
            secret: is_array($secret) ? array_values(array_filter($secret, 'is_string')) : $text('secret'),
            tolerance: is_numeric($tolerance) ? (int) $tolerance : 300,
            handlesReplays: ($values['handle_replays'] ?? false) === true,
            queued: ($values['queue'] ?? false) === true || $text('queue') !== null,
            queue: $text('queue'),
            queueConnection: $text('queue_connection'),
            events: is_array($events) ? $events : [],
            table: $text('table') ?? self::TABLE,
            connection: $text('connection'),
        );
    }
}
