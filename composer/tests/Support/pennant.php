<?php

declare(strict_types=1);

// Laravel Pennant's driver contract and the part of its manager that a driver meets, where Pennant
// itself is not installed; the signatures are those of its version 1.

namespace Laravel\Pennant\Contracts {
    if (! interface_exists(Driver::class)) {
        interface Driver
        {
            public function define(string $feature, callable $resolver): void;

            public function defined(): array;

            public function getAll(array $features): array;

            public function get(string $feature, mixed $scope): mixed;

            public function set(string $feature, mixed $scope, mixed $value): void;

            public function setForAllScopes(string $feature, mixed $value): void;

            public function delete(string $feature, mixed $scope): void;

            public function purge(?array $features): void;
        }
    }
}

namespace Laravel\Pennant {
    if (! class_exists(FeatureManager::class)) {
        class FeatureManager
        {
            private array $creators = [];

            public function __construct(private \Illuminate\Contracts\Container\Container $container)
            {
            }

            public function extend(string $driver, \Closure $callback): static
            {
                // As Pennant and Laravel's managers do.
                $this->creators[$driver] = $callback->bindTo($this, $this);

                return $this;
            }

            public function store(string $name): Contracts\Driver
            {
                $config = $this->container->make('config')->get("pennant.stores.$name");

                return $this->creators[$config['driver']]($this->container, $config);
            }
        }
    }
}
