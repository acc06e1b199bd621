<?php

declare(strict_types=1);

namespace Trastienda\Exception;

/**
 * The local agent did not take the call: no socket, refused, or no answer in time.
 */
final class AgentUnavailable extends TrastiendaException
{
}
