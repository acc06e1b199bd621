<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Wire;

/**
 * One call of the contract, the same for every transport.
 */
final class Call
{
    /** Paths whose calls carry an id of the caller's making. */
    private const IDENTIFIED = ['/v1/events', '/v1/notifications', '/v1/payments'];

    /**
     * @param  array<array-key, mixed>|null  $body
     * @param  array<string, string>  $headers
     * @param  int|null  $timeoutMs  null: what the transport allows for an acknowledgement
     */
    public function __construct(
        public readonly string $method,
        public readonly string $path,
        public readonly ?array $body = null,
        public readonly array $headers = [],
        public readonly ?int $timeoutMs = null,
    ) {
    }

    /**
     * The id that this call carries, when it makes something.
     */
    public function id(): ?string
    {
        $id = $this->body['id'] ?? null;

        return $this->method === 'POST' && in_array($this->path, self::IDENTIFIED, true) && is_string($id) ? $id : null;
    }

    /**
     * Whether sending it twice is sending it once.
     */
    public function isRepeatable(): bool
    {
        return in_array($this->method, ['GET', 'PUT', 'DELETE'], true) || $this->id() !== null || $this->header('Idempotency-Key') !== null;
    }

    /**
     * Whether it only reads, so that an answer that never came leaves nothing in doubt.
     */
    public function isRead(): bool
    {
        return $this->method === 'GET';
    }

    /**
     * Whether the agent takes it on its own disk, hub or no hub.
     */
    public function isBuffered(): bool
    {
        return $this->id() !== null && $this->path !== '/v1/payments';
    }

    public function isPayment(): bool
    {
        return $this->method === 'POST' && str_starts_with($this->path, '/v1/payments');
    }

    public function header(string $name): ?string
    {
        foreach ($this->headers as $key => $value) {
            if (strcasecmp($key, $name) === 0) {
                return $value;
            }
        }

        return null;
    }

    public function withoutHeader(string $name): self
    {
        $headers = array_filter($this->headers, fn (string $key): bool => strcasecmp($key, $name) !== 0, ARRAY_FILTER_USE_KEY);

        return new self($this->method, $this->path, $this->body, $headers, null);
    }

    /**
     * The same call under a key, unless it has one.
     */
    public function withDefaultKey(?string $key): self
    {
        return $key === null || $this->header('Idempotency-Key') !== null
            ? $this
            : new self($this->method, $this->path, $this->body, $this->headers + ['Idempotency-Key' => $key], $this->timeoutMs);
    }

    /**
     * What a queue or an outbox keeps. How long PHP may wait is left behind: that was the
     * patience of whoever made the call.
     *
     * @return array{method: string, path: string, body: array<array-key, mixed>|null, headers: array<string, string>}
     */
    public function toArray(): array
    {
        return ['method' => $this->method, 'path' => $this->path, 'body' => $this->body, 'headers' => $this->headers];
    }

    /**
     * What an outbox kept.
     */
    public static function fromJson(string $text): self
    {
        /** @var array{method: string, path: string, body: array<array-key, mixed>|null, headers: array<string, string>} $kept */
        $kept = json_decode($text, true, 512, JSON_THROW_ON_ERROR);

        return self::fromArray($kept);
    }

    /**
     * @param  array{method: string, path: string, body: array<array-key, mixed>|null, headers: array<string, string>}  $kept
     */
    public static function fromArray(array $kept): self
    {
        return new self($kept['method'], $kept['path'], $kept['body'], $kept['headers']);
    }
}
