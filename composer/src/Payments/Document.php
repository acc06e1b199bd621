<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Payments;

use LogicException;

/**
 * A document of the API, read-only, that may also be read as the array it came as:
 * `$payment->checkoutUrl` and `$payment['checkout_url']` are the same.
 *
 * For classes that implement ArrayAccess, Arrayable and JsonSerializable.
 */
trait Document
{
    /** @var array<array-key, mixed> */
    private readonly array $document;

    /**
     * The document as the API gave it, with what a newer hub may have added.
     *
     * @return array<array-key, mixed>
     */
    public function toArray(): array
    {
        return $this->document;
    }

    /**
     * @return array<array-key, mixed>
     */
    public function jsonSerialize(): array
    {
        return $this->document;
    }

    public function offsetExists(mixed $offset): bool
    {
        return isset($this->document[$offset]);
    }

    public function offsetGet(mixed $offset): mixed
    {
        return $this->document[$offset] ?? null;
    }

    public function offsetSet(mixed $offset, mixed $value): never
    {
        throw new LogicException(self::class.' is what the hub said; it cannot be changed here.');
    }

    public function offsetUnset(mixed $offset): never
    {
        throw new LogicException(self::class.' is what the hub said; it cannot be changed here.');
    }

    /**
     * @param  array<array-key, mixed>  $document
     */
    private static function text(array $document, string $name): ?string
    {
        return is_string($document[$name] ?? null) && $document[$name] !== '' ? $document[$name] : null;
    }
}
