<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Contracts;

use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Reply;

/**
 * One way for a call to leave PHP.
 *
 * A transport never makes an id and never changes one: whatever the call carries is what
 * every attempt carries.
 */
interface Transport
{
    /**
     * Carries the call and returns its 2xx answer.
     *
     * @throws TrastiendaException for everything that is not one
     */
    public function send(Call $call): Reply;

    /**
     * The word for this transport in the configuration and in `trastienda:status`.
     */
    public function name(): string;
}
