<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Features;

use Laravel\Pennant\Contracts\Driver;
use LogicException;

/**
 * The project's flags as a store of Laravel Pennant: `Feature::store('trastienda')->active('wishlist')`.
 *
 * A flag belongs to the project, so every scope has the same answer. What the shop defines is the
 * default: for a flag that the hub does not know, and while nobody can be asked. Flags are set at
 * the hub, not from a shop.
 */
final class PennantDriver implements Driver
{
    /** @var array<string, callable(mixed): mixed> */
    private array $resolvers = [];

    public function __construct(private readonly Features $features)
    {
    }

    public function define(string $feature, callable $resolver): void
    {
        $this->resolvers[$feature] = $resolver;
    }

    /**
     * @return list<string>
     */
    public function defined(): array
    {
        return array_keys($this->resolvers);
    }

    /**
     * @param  array<string, array<int, mixed>>  $features
     * @return array<string, array<int, mixed>>
     */
    public function getAll(array $features): array
    {
        foreach ($features as $feature => $scopes) {
            foreach ($scopes as $at => $scope) {
                $features[$feature][$at] = $this->get((string) $feature, $scope);
            }
        }

        return $features;
    }

    public function get(string $feature, mixed $scope): mixed
    {
        $known = $this->features->known($feature);

        return $known ?? (isset($this->resolvers[$feature]) ? ($this->resolvers[$feature])($scope) : false);
    }

    public function set(string $feature, mixed $scope, mixed $value): void
    {
        throw self::readOnly($feature);
    }

    public function setForAllScopes(string $feature, mixed $value): void
    {
        throw self::readOnly($feature);
    }

    public function delete(string $feature, mixed $scope): void
    {
        throw self::readOnly($feature);
    }

    /**
     * Asks anew from here on; the hub's flags themselves stay.
     *
     * @param  array<array-key, mixed>|null  $features
     */
    public function purge(?array $features): void
    {
        foreach (array_filter($features ?? $this->defined(), is_string(...)) as $feature) {
            $this->features->forget($feature);
        }
    }

    private static function readOnly(string $feature): LogicException
    {
        return new LogicException("The flag \"$feature\" is set at the hub: trastienda-hub project feature ID $feature on|off|default.");
    }
}
