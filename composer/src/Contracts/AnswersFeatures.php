<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Contracts;

use Trastienda\Exception\TrastiendaException;

/**
 * A transport that knows the project's feature flags without asking the hub each time.
 */
interface AnswersFeatures
{
    /**
     * The flag, `$default` where the project does not say; null when the transport cannot
     * tell after all.
     *
     * @throws TrastiendaException
     */
    public function feature(string $flag, bool $default): ?bool;
}
