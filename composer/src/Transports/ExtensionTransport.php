<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Transports;

use Trastienda\Laravel\Contracts\AnswersFeatures;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Reply;

/**
 * The native extension, which speaks to the agent and throws the exceptions itself.
 *
 * Each call of the contract that has a function goes through it. What the function cannot
 * say (a header, another path) goes through `trastienda_request`.
 */
final class ExtensionTransport implements AnswersFeatures, Transport
{
    public function send(Call $call): Reply
    {
        $body = $call->body ?? [];
        $plain = array_diff(array_map(strtolower(...), array_keys($call->headers)), ['idempotency-key']) === [];

        return match (true) {
            $plain && $this->is($call, '/v1/events') && array_diff(array_keys($body), ['id', 'type', 'data']) === [] => new Reply(202, [
                'id' => trastienda_event($body['type'], $body['data'], $this->options($call)),
                'type' => $body['type'],
            ]),
            $plain && $this->is($call, '/v1/notifications') => new Reply(202, trastienda_notify($body, $this->options($call))),
            // A wait is the extension's own affair; no wait at all has to be said.
            $this->is($call, '/v1/payments') && $call->header('Prefer') !== 'respond-async' => new Reply(201, trastienda_payment_create($body, $this->options($call))),
            $call->method === 'GET' && preg_match('#^/v1/payments/(pay_[0-9a-f]{32})$#', $call->path, $found) === 1 => new Reply(200, trastienda_payment_get($found[1])),
            default => new Reply(200, trastienda_request($call->method, $call->path, $call->body, $call->headers)),
        };
    }

    public function feature(string $flag, bool $default): bool
    {
        return trastienda_feature($flag, $default);
    }

    /**
     * The agent as the extension sees it.
     *
     * @return array<string, mixed>
     */
    public function status(): array
    {
        return trastienda_status();
    }

    public function name(): string
    {
        return 'extension';
    }

    private function is(Call $call, string $path): bool
    {
        return $call->path === $path && $call->method === 'POST' && $call->id() !== null;
    }

    /**
     * @return array<string, string|int>
     */
    private function options(Call $call): array
    {
        return array_filter([
            'id' => $call->id(),
            'idempotency_key' => $call->header('Idempotency-Key'),
            'timeout_ms' => $call->timeoutMs,
        ], fn (string|int|null $value): bool => $value !== null);
    }
}
