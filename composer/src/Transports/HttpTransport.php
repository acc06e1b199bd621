<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Transports;

use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Exceptions\InvalidConfig;
use Trastienda\Laravel\Settings;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Curl;
use Trastienda\Laravel\Wire\Failure;
use Trastienda\Laravel\Wire\Reply;
use Trastienda\Laravel\Wire\TransferFailed;

/**
 * The hub itself, or an agent's TCP door, with the project's key.
 */
final class HttpTransport implements Transport
{
    private readonly Curl $curl;

    public function __construct(private readonly Settings $settings)
    {
        $this->curl = new Curl(
            $settings->url ?? throw InvalidConfig::missingUrl(),
            $settings->timeouts->hubConnectMs,
            $settings->key ?? throw InvalidConfig::missingUrl(),
        );
    }

    public function send(Call $call): Reply
    {
        try {
            $reply = $this->curl->exchange($call, $call->timeoutMs ?? $this->settings->timeouts->hubMs);
        } catch (TransferFailed $failure) {
            throw $failure->hadLeft && ! $call->isRead()
                ? Failure::outcomeUnknown($call->id(), $failure->getMessage(), 0, $failure)
                : Failure::hubUnavailable($failure->getMessage(), $failure);
        }

        return $reply->isSuccess() ? $reply : throw Failure::fromReply($reply, $call);
    }

    public function name(): string
    {
        return 'http';
    }
}
