<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Wire;

/**
 * What came back: the status, the headers in lower case, and the JSON body.
 */
final class Reply
{
    /**
     * @param  array<array-key, mixed>  $body
     * @param  array<string, string>  $headers
     */
    public function __construct(
        public readonly int $status,
        public readonly array $body = [],
        public readonly array $headers = [],
    ) {
    }

    /**
     * @param  array<string, string>  $headers
     */
    public static function fromText(int $status, string $text, array $headers): self
    {
        $body = json_decode($text, true, 512, JSON_BIGINT_AS_STRING);

        return new self($status, is_array($body) ? $body : [], $headers);
    }

    public function isSuccess(): bool
    {
        return $this->status >= 200 && $this->status < 300;
    }

    public function text(string $key): ?string
    {
        $value = $this->body[$key] ?? null;

        return is_string($value) ? $value : null;
    }
}
