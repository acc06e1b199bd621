<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Transports;

use Psr\Log\LoggerInterface;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Failure;
use Trastienda\Laravel\Wire\Reply;

/**
 * Log-only: what would have left is written to the shop's log, with its body, and nothing is sent.
 *
 * For a laptop or a rehearsal. As with no transport at all, what asks for an answer that
 * only a hub can give is refused.
 */
final class LogTransport implements Transport
{
    public function __construct(private readonly LoggerInterface $log)
    {
    }

    public function send(Call $call): Reply
    {
        $this->log->info("Trastienda (log only): $call->method $call->path", ['body' => $call->body, 'headers' => $call->headers]);

        if ($call->isBuffered()) {
            return new Reply(202, ['id' => $call->id(), 'status' => 'logged']);
        }

        throw Failure::disabled();
    }

    public function name(): string
    {
        return 'log';
    }
}
