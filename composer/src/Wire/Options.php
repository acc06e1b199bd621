<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Wire;

use DateTimeInterface;

/**
 * The options of a call. One that does not exist is an error, because a mistyped
 * `idempotency_key` that is silently dropped costs somebody money.
 */
final class Options
{
    /**
     * @param  array<string, mixed>  $values
     */
    private function __construct(private readonly array $values)
    {
    }

    /**
     * @param  array<string, mixed>  $values
     * @param  list<string>  $known
     */
    public static function of(array $values, array $known): self
    {
        $unknown = array_diff(array_keys($values), $known);

        if ($unknown !== []) {
            throw Failure::invalidRequest('Unknown option: '.implode(', ', $unknown).'. Known here: '.implode(', ', $known).'.');
        }

        return new self($values);
    }

    public function text(string $name): ?string
    {
        $value = $this->values[$name] ?? null;

        return match (true) {
            $value === null => null,
            $value instanceof DateTimeInterface => Plain::time($value),
            default => (string) $value,
        };
    }

    public function int(string $name): ?int
    {
        return isset($this->values[$name]) ? (int) $this->values[$name] : null;
    }

    public function bool(string $name): ?bool
    {
        return isset($this->values[$name]) ? (bool) $this->values[$name] : null;
    }

    /**
     * @return array<string, string>
     */
    public function headers(): array
    {
        $key = $this->text('idempotency_key');

        return $key === null ? [] : ['Idempotency-Key' => $key];
    }
}
