<?php

declare(strict_types=1);

namespace Trastienda\Exception;

/**
 * The agent's buffer is at its limit; it refuses rather than drop what it has acknowledged.
 */
final class BufferFull extends TrastiendaException
{
}
