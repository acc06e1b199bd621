<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Doctor;

/**
 * One thing that the doctor looked at. In Spanish: an operator reads it.
 */
final class Finding
{
    public const GOOD = 'ok';

    public const WARNING = 'warning';

    public const BAD = 'error';

    private function __construct(
        public readonly string $what,
        public readonly string $state,
        public readonly string $detail,
        public readonly ?string $fix,
    ) {
    }

    public static function good(string $what, string $detail): self
    {
        return new self($what, self::GOOD, $detail, null);
    }

    public static function warning(string $what, string $detail, string $fix): self
    {
        return new self($what, self::WARNING, $detail, $fix);
    }

    public static function bad(string $what, string $detail, string $fix): self
    {
        return new self($what, self::BAD, $detail, $fix);
    }
}
