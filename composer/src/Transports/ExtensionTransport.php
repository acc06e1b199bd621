<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Transports;

use Trastienda\Laravel\Contracts\AnswersFeatures;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Failure;
use Trastienda\Laravel\Wire\Reply;

/**
 * The native extension, which speaks to the agent and throws the exceptions itself.
 *
 * Each call of the contract that has a function goes through it. What the function cannot
 * say (a header of its own, another path) goes through `trastienda_request`, which gives the
 * answer as it came and leaves it to us to say what a refusal means.
 */
final class ExtensionTransport implements AnswersFeatures, Transport
{
    public function send(Call $call): Reply
    {
        $body = $call->body ?? [];
        $type = $body['type'] ?? null;
        $data = $body['data'] ?? null;

        return match (true) {
            is_string($type) && is_array($data) && $this->makes($call, '/v1/events', []) && array_diff(array_keys($body), ['id', 'type', 'data']) === [] => new Reply(202, [
                'id' => trastienda_event($type, $data, $this->options($call)),
                'type' => $type,
            ]),
            $this->makes($call, '/v1/notifications', ['prefer']) => new Reply(202, trastienda_notify($body, $this->options($call))),
            $this->makes($call, '/v1/payments', ['prefer']) => new Reply(201, trastienda_payment_create($body, $this->options($call))),
            $call->method === 'GET' && preg_match('#^/v1/payments/(pay_[0-9a-f]{32})$#', $call->path, $found) === 1 => new Reply(200, trastienda_payment_get($found[1])),
            default => $this->request($call),
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

    private function request(Call $call): Reply
    {
        $answer = trastienda_request($call->method, $call->path, $call->body, $call->headers);

        $reply = new Reply(
            (int) $answer['status'],
            is_array($answer['body']) ? $answer['body'] : [],
            array_map(fn (string|array $value): string => is_array($value) ? implode(', ', $value) : $value, $answer['headers']),
        );

        return $reply->isSuccess() ? $reply : throw Failure::fromReply($reply, $call);
    }

    /**
     * Whether the call makes something, with no header that its function has no option for.
     *
     * @param  list<string>  $headers
     */
    private function makes(Call $call, string $path, array $headers): bool
    {
        $said = array_map(strtolower(...), array_keys($call->headers));

        return $call->path === $path && $call->id() !== null && array_diff($said, ['idempotency-key', ...$headers]) === [];
    }

    /**
     * @return array<string, string|int>
     */
    private function options(Call $call): array
    {
        $prefer = $call->header('Prefer');

        return array_filter([
            'id' => $call->id(),
            'idempotency_key' => $call->header('Idempotency-Key'),
            'timeout_ms' => $call->timeoutMs,
            'wait' => match (true) {
                $prefer === null => null,
                preg_match('/^wait=([0-9]+)$/', $prefer, $found) === 1 => (int) $found[1],
                default => 0,
            },
        ], fn (string|int|null $value): bool => $value !== null);
    }
}
