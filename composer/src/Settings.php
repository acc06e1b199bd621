<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

use SensitiveParameter;
use Trastienda\Laravel\Exceptions\InvalidConfig;

/**
 * What `config/trastienda.php` says, checked once and typed.
 *
 * A wrong setting is kept as a problem and thrown by `check()`, when a call is about to
 * leave: it breaks that call and not every page of the shop.
 */
final class Settings
{
    public const DEFAULT_SOCKET = '/run/trastienda/agent.sock';

    private const TRANSPORTS = ['auto', 'extension', 'socket', 'http', 'log', 'null'];

    private const FALLBACKS = ['http', 'queue', 'throw'];

    private function __construct(
        public readonly bool $enabled,
        public readonly string $transport,
        public readonly string $fallback,
        #[SensitiveParameter] public readonly ?string $key,
        public readonly ?string $url,
        public readonly ?string $socket,
        public readonly Timeouts $timeouts,
        public readonly int $featureTtl,
        public readonly bool $afterCommit,
        public readonly OutboxSettings $outbox,
        public readonly QueueSettings $queue,
        private readonly ?InvalidConfig $problem,
    ) {
    }

    /**
     * @param  array<array-key, mixed>  $config
     */
    public static function fromConfig(#[SensitiveParameter] array $config): self
    {
        $problem = null;

        try {
            $timeouts = Timeouts::fromConfig((array) ($config['timeouts'] ?? []));
        } catch (InvalidConfig $problem) {
            $timeouts = Timeouts::fromConfig([]);
        }

        // A bare `null` in .env reaches PHP as a real null, and means the same.
        $transport = array_key_exists('transport', $config) ? (self::text($config['transport']) ?? 'null') : 'auto';
        $fallback = self::text($config['fallback'] ?? null) ?? 'http';
        $url = self::text($config['url'] ?? null);

        return new self(
            enabled: (bool) ($config['enabled'] ?? true),
            transport: $transport,
            fallback: $fallback,
            key: self::text($config['key'] ?? null),
            url: $url === null ? null : rtrim($url, '/'),
            socket: self::text($config['socket'] ?? null),
            timeouts: $timeouts,
            featureTtl: max(0, (int) ($config['feature_ttl'] ?? 30)),
            afterCommit: (bool) ($config['after_commit'] ?? true),
            outbox: OutboxSettings::fromConfig((array) ($config['outbox'] ?? [])),
            queue: QueueSettings::fromConfig((array) ($config['queue'] ?? [])),
            problem: match (true) {
                ! in_array($transport, self::TRANSPORTS, true) => InvalidConfig::unknownTransport($transport),
                ! in_array($fallback, self::FALLBACKS, true) => InvalidConfig::unknownFallback($fallback),
                $url !== null && preg_match('#^https?://[^/\s]+#i', $url) !== 1 => InvalidConfig::badUrl($url),
                default => $problem,
            },
        );
    }

    /**
     * @throws InvalidConfig
     */
    public function check(): void
    {
        if ($this->problem !== null) {
            throw $this->problem;
        }
    }

    public function socketPath(): string
    {
        return $this->socket ?? self::DEFAULT_SOCKET;
    }

    public function canReachHub(): bool
    {
        return $this->url !== null && $this->key !== null;
    }

    public function keyLastFour(): ?string
    {
        return $this->key === null || strlen($this->key) < 12 ? null : substr($this->key, -4);
    }

    /**
     * Keeps the key out of dumps and error pages.
     *
     * @return array<string, mixed>
     */
    public function __debugInfo(): array
    {
        return ['key' => $this->key === null ? null : '…'.$this->keyLastFour()] + get_object_vars($this);
    }

    private static function text(mixed $value): ?string
    {
        $value = is_scalar($value) ? trim((string) $value) : '';

        return $value === '' ? null : $value;
    }
}
