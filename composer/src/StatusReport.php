<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

use Illuminate\Support\Arr;

/**
 * What `Diagnosis` found, read by path (`agent.reachable`) and type: parts of it are what another
 * program answered.
 */
final class StatusReport
{
    /**
     * @param  array<array-key, mixed>  $status
     */
    public function __construct(private readonly array $status)
    {
    }

    public function is(string $path): bool
    {
        return Arr::get($this->status, $path) === true;
    }

    public function text(string $path): ?string
    {
        $value = Arr::get($this->status, $path);

        return is_string($value) ? $value : null;
    }

    public function int(string $path): ?int
    {
        $value = Arr::get($this->status, $path);

        return is_int($value) ? $value : null;
    }
}
