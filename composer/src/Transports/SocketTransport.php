<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Transports;

use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Settings;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Curl;
use Trastienda\Laravel\Wire\Failure;
use Trastienda\Laravel\Wire\Reply;
use Trastienda\Laravel\Wire\TransferFailed;

/**
 * The agent's Unix socket, from plain PHP: what the extension does, a little slower.
 */
final class SocketTransport implements Transport
{
    private readonly Curl $curl;

    public function __construct(private readonly Settings $settings)
    {
        $this->curl = new Curl('http://localhost', $settings->timeouts->connectMs, $settings->key, $settings->socketPath());
    }

    public function send(Call $call): Reply
    {
        try {
            $reply = $this->curl->exchange($call, $call->timeoutMs ?? $this->settings->timeouts->localMs);
        } catch (TransferFailed $failure) {
            throw $failure->hadLeft && ! $call->isRead()
                ? Failure::outcomeUnknown($call->id(), $failure->getMessage(), 0, $failure)
                : Failure::agentUnavailable($failure->getMessage(), $failure);
        }

        return $reply->isSuccess() ? $reply : throw Failure::fromReply($reply, $call);
    }

    public function name(): string
    {
        return 'socket';
    }
}
