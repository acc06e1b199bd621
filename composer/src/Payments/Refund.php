<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Payments;

use ArrayAccess;
use Illuminate\Contracts\Support\Arrayable;
use JsonSerializable;

/**
 * Money on its way back.
 *
 * @implements Arrayable<array-key, mixed>
 * @implements ArrayAccess<string, mixed>
 */
final class Refund implements Arrayable, ArrayAccess, JsonSerializable
{
    use Document;

    /**
     * @param  string  $status  `pending`, `done` or `failed`
     * @param  string|null  $detail  why it failed
     * @param  array<array-key, mixed>  $document
     */
    private function __construct(
        public readonly string $id,
        public readonly string $status,
        public readonly ?string $amount,
        public readonly ?string $detail,
        public readonly ?string $externalId,
        array $document,
    ) {
        $this->document = $document;
    }

    /**
     * @param  array<array-key, mixed>  $document
     */
    public static function fromArray(array $document): self
    {
        return new self(
            id: self::text($document, 'id') ?? '',
            status: self::text($document, 'status') ?? 'pending',
            amount: self::text($document, 'amount'),
            detail: self::text($document, 'detail'),
            externalId: self::text($document, 'external_id'),
            document: $document,
        );
    }
}
