<?php

declare(strict_types=1);

namespace Trastienda\Exception;

/**
 * The API key is missing, wrong, rotated, of another project, or its project is inactive.
 */
final class Unauthorized extends TrastiendaException
{
}
