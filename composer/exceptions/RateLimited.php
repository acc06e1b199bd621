<?php

declare(strict_types=1);

namespace Trastienda\Exception;

/**
 * The project is past its limit or its daily quota.
 */
final class RateLimited extends TrastiendaException
{
    /** @var int|null */
    protected $retryAfter;

    /**
     * Seconds to wait before trying again, when the hub said.
     */
    public function retryAfter(): ?int
    {
        return $this->retryAfter;
    }
}
