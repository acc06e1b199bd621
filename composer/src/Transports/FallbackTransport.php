<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Transports;

use Psr\Log\LoggerInterface;
use Throwable;
use Trastienda\Exception\AgentUnavailable;
use Trastienda\Exception\BufferFull;
use Trastienda\Exception\OutcomeUnknown;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Contracts\AnswersFeatures;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Reply;

/**
 * The agent first; when it does not take the call, the hub, with the same id.
 *
 * An event or notification whose outcome is unknown goes to the hub as well: the id makes
 * the two one. A payment does not, because the caller has to learn that it is unknown.
 */
final class FallbackTransport implements AnswersFeatures, Transport
{
    public function __construct(
        private readonly Transport $agent,
        private readonly Transport $hub,
        private readonly LoggerInterface $log,
    ) {
    }

    public function send(Call $call): Reply
    {
        try {
            return $this->agent->send($call);
        } catch (AgentUnavailable|BufferFull $failure) {
            $this->note($failure, $call);
        } catch (OutcomeUnknown $failure) {
            if (! $call->isBuffered()) {
                throw $failure;
            }

            $this->note($failure, $call);
        }

        return $this->hub->send($call);
    }

    public function feature(string $flag, bool $default): ?bool
    {
        return $this->agent instanceof AnswersFeatures ? $this->agent->feature($flag, $default) : null;
    }

    public function name(): string
    {
        return $this->agent->name();
    }

    /**
     * Said once per call, without the body; a broken log must not cost the shop its order.
     */
    private function note(TrastiendaException $failure, Call $call): void
    {
        try {
            $this->log->warning('Trastienda: the agent did not take a call; it goes straight to the hub.', [
                'path' => $call->path,
                'id' => $call->id(),
                'reason' => $failure->getMessage(),
            ]);
        } catch (Throwable) {
        }
    }
}
