<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Transports;

use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Failure;
use Trastienda\Laravel\Wire\Reply;

/**
 * Trastienda switched off: what can be dropped is dropped, and nothing is invented.
 *
 * Events and notifications get their id and the status `disabled`. Everything else asks
 * for an answer that only a hub can give, and is refused: a shop must never take a
 * made-up payment for a real one.
 */
final class NullTransport implements Transport
{
    public function send(Call $call): Reply
    {
        if ($call->isBuffered()) {
            return new Reply(202, ['id' => $call->id(), 'status' => 'disabled']);
        }

        throw Failure::disabled();
    }

    public function name(): string
    {
        return 'null';
    }
}
