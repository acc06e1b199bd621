<?php

declare(strict_types=1);

namespace Trastienda\Exception;

/**
 * A webhook that the hub did not sign, or did not sign just now.
 */
final class InvalidSignature extends TrastiendaException
{
}
