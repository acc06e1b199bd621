<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Transports;

use Illuminate\Contracts\Bus\Dispatcher;
use Psr\Log\LoggerInterface;
use Throwable;
use Trastienda\Exception\AgentUnavailable;
use Trastienda\Exception\BufferFull;
use Trastienda\Exception\HubUnavailable;
use Trastienda\Exception\OutcomeUnknown;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Contracts\AnswersFeatures;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Queue\SendCall;
use Trastienda\Laravel\QueueSettings;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Reply;

/**
 * Whoever is in front first; when nobody takes an event or a notification, Laravel's queue does.
 *
 * The job carries the call with its id, so that one which did arrive after all stays one.
 * Payments are never queued: somebody waits for their answer.
 */
final class QueueTransport implements AnswersFeatures, Transport
{
    public function __construct(
        private readonly Transport $first,
        private readonly Dispatcher $bus,
        private readonly QueueSettings $queue,
        private readonly LoggerInterface $log,
    ) {
    }

    public function send(Call $call): Reply
    {
        try {
            return $this->first->send($call);
        } catch (AgentUnavailable|BufferFull|HubUnavailable|OutcomeUnknown $failure) {
            if (! $call->isBuffered()) {
                throw $failure;
            }

            return $this->handOver($call, $failure);
        }
    }

    public function feature(string $flag, bool $default): ?bool
    {
        return $this->first instanceof AnswersFeatures ? $this->first->feature($flag, $default) : null;
    }

    public function name(): string
    {
        return $this->first->name();
    }

    /**
     * A queue that is away as well leaves the caller with the first failure, which is the cause.
     */
    private function handOver(Call $call, TrastiendaException $failure): Reply
    {
        try {
            $this->bus->dispatch((new SendCall($call->withoutHeader('Prefer')->toArray()))->onConnection($this->queue->connection)->onQueue($this->queue->name));
        } catch (Throwable) {
            throw $failure;
        }

        try {
            $this->log->warning('Trastienda: nobody took a call; it waits in the queue.', ['path' => $call->path, 'id' => $call->id(), 'reason' => $failure->getMessage()]);
        } catch (Throwable) {
        }

        return new Reply(202, ['id' => $call->id(), 'status' => 'queued']);
    }
}
