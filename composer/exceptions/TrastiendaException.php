<?php

declare(strict_types=1);

namespace Trastienda\Exception;

/**
 * What every failure of Trastienda has in common.
 *
 * The native extension brings these same classes; when it is loaded PHP never comes here,
 * so that a shop catches one set whichever way its calls leave. `getCode()` is the HTTP
 * status, or 0 when there was no answer. Not for construction by hand: see `Wire\Failure`.
 */
class TrastiendaException extends \Exception
{
}
