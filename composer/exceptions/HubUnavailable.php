<?php

declare(strict_types=1);

namespace Trastienda\Exception;

/**
 * The hub could not be reached, or could not serve the call now.
 */
final class HubUnavailable extends TrastiendaException
{
}
