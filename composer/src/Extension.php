<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

/**
 * What this PHP knows of the native extension.
 */
final class Extension
{
    public function isLoaded(): bool
    {
        return extension_loaded('trastienda');
    }

    public function isUsable(): bool
    {
        return $this->isLoaded() && filter_var((string) ini_get('trastienda.enabled'), FILTER_VALIDATE_BOOLEAN);
    }

    public function version(): ?string
    {
        return phpversion('trastienda') ?: null;
    }

    public function socket(): string
    {
        return (string) ini_get('trastienda.socket');
    }

    /**
     * Makes the extension speak to `$socket`, if it does not already; says whether it does.
     *
     * Two shops on one host have two agents. A shop that spoke through its neighbour's
     * would put its orders in the neighbour's project, so this is checked and not hoped.
     */
    public function aimAt(?string $socket): bool
    {
        if ($socket === null || $socket === $this->socket()) {
            return true;
        }

        return @ini_set('trastienda.socket', $socket) !== false && $this->socket() === $socket;
    }
}
