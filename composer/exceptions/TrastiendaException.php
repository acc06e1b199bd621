<?php

declare(strict_types=1);

namespace Trastienda\Exception;

use RuntimeException;

/**
 * What every failure of Trastienda has in common.
 *
 * The native extension brings these same classes; when it is loaded PHP never comes here,
 * so that a shop catches one set whichever way its calls leave. `getCode()` is the HTTP
 * status, or 0 when there was no answer. Not for construction by hand: see `Wire\Failure`.
 */
class TrastiendaException extends RuntimeException
{
    /** @var string|null */
    protected $problemCode;

    /** @var string|null */
    protected $requestId;

    /**
     * The stable word for what went wrong, such as `quota_exceeded`; null without an answer.
     */
    public function problemCode(): ?string
    {
        return $this->problemCode;
    }

    /**
     * Under what the hub's log has this call; null without an answer.
     */
    public function requestId(): ?string
    {
        return $this->requestId;
    }
}
