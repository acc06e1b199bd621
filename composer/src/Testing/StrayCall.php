<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Testing;

use LogicException;
use Trastienda\Laravel\Wire\Call;

/**
 * A call that a test did not expect. Not a TrastiendaException: a shop that bears those must
 * not hide it.
 */
final class StrayCall extends LogicException
{
    public static function of(Call $call): self
    {
        return new self("A stray call to Trastienda: $call->method $call->path. Fake it with Trastienda::fake().");
    }
}
