<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Support;

use Throwable;

/**
 * What the stand-ins for the extension's functions were called with.
 */
final class ExtensionCalls
{
    /** @var list<array{string, array<int, mixed>}> */
    public static array $made = [];

    /** Thrown instead of answering, when a test says so. */
    public static ?Throwable $failure = null;

    /** @var array{status: int, headers: array<string, mixed>, body: mixed}|null what `trastienda_request` answers */
    public static ?array $answer = null;

    public static function reset(): void
    {
        self::$made = [];
        self::$failure = null;
        self::$answer = null;
    }

    /**
     * @template T
     *
     * @param  array<int, mixed>  $arguments
     * @param  T  $answer
     * @return T
     */
    public static function record(string $function, array $arguments, mixed $answer): mixed
    {
        self::$made[] = [$function, $arguments];

        return self::$failure === null ? $answer : throw self::$failure;
    }
}
