<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Wire;

use BackedEnum;
use DateTimeInterface;
use DateTimeZone;
use Illuminate\Contracts\Support\Arrayable;
use JsonSerializable;
use Stringable;

/**
 * Turns what Laravel code has at hand into what JSON can say.
 *
 * Dates become RFC 3339 in UTC with milliseconds, models and collections their arrays,
 * enums their values. It is done before a transport is chosen, so that the extension and
 * cURL send the same bytes.
 */
final class Plain
{
    /**
     * @param  array<array-key, mixed>|Arrayable<array-key, mixed>  $value
     * @return array<array-key, mixed>
     */
    public static function of(array|Arrayable $value): array
    {
        return array_map(self::value(...), $value instanceof Arrayable ? $value->toArray() : $value);
    }

    public static function time(DateTimeInterface $time): string
    {
        return \DateTimeImmutable::createFromInterface($time)->setTimezone(new DateTimeZone('UTC'))->format('Y-m-d\TH:i:s.v\Z');
    }

    private static function value(mixed $value): mixed
    {
        return match (true) {
            is_array($value), $value instanceof Arrayable => self::of($value),
            $value instanceof DateTimeInterface => self::time($value),
            $value instanceof BackedEnum => $value->value,
            $value instanceof JsonSerializable => self::value($value->jsonSerialize()),
            $value instanceof Stringable => (string) $value,
            default => $value,
        };
    }
}
