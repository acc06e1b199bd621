<?php

declare(strict_types=1);

namespace Trastienda\Exception;

/**
 * The call left and no answer came: it may or may not have taken effect.
 *
 * Ask for `id()` later, or repeat the call with the same id: it can never happen twice.
 */
final class OutcomeUnknown extends TrastiendaException
{
    /** @var string|null */
    protected $id;

    /**
     * The id that the call carried, under which the hub knows it if it arrived; empty for a
     * call that carries none.
     */
    public function id(): string
    {
        return $this->id ?? '';
    }
}
