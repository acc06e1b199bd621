<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Testing;

use Closure;
use Throwable;
use Trastienda\Laravel\Contracts\AnswersFeatures;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Failure;
use Trastienda\Laravel\Wire\Reply;

/**
 * Remembers every call and answers as a hub would, without one.
 */
final class FakeTransport implements AnswersFeatures, Transport
{
    /** @var list<Call> */
    private array $calls = [];

    /** @var array<string, bool> */
    private array $features = [];

    private bool $preventsStray = false;

    /**
     * @param  array<string, array<array-key, mixed>|Closure|Reply|Throwable>  $answers  'POST /v1/events' => what to answer
     * @param  list<string>  $kinds  `events`, `notifications`, `payments`: faked even when strays are prevented
     */
    public function __construct(
        public readonly FakePayments $payments,
        private readonly array $answers = [],
        private readonly array $kinds = [],
    ) {
    }

    public function send(Call $call): Reply
    {
        $path = (string) strtok($call->path, '?');
        $answer = $this->answers["$call->method $path"] ?? null;

        if ($answer === null && $this->preventsStray && ! in_array(explode('/', $path)[2] ?? '', $this->kinds, true)) {
            throw StrayCall::of($call);
        }

        $this->calls[] = $call;
        $answer = $answer instanceof Closure ? $answer($call) : $answer;

        return match (true) {
            $answer instanceof Throwable => throw $answer,
            $answer instanceof Reply => $answer->isSuccess() ? $answer : throw Failure::fromReply($answer, $call),
            is_array($answer) => new Reply(200, $answer + ['id' => $call->id()]),
            default => $this->likeTheHub($call, $path),
        };
    }

    public function feature(string $flag, bool $default): bool
    {
        return $this->features[$flag] ?? $default;
    }

    public function name(): string
    {
        return 'fake';
    }

    public function setFeature(string $flag, bool $enabled): void
    {
        $this->features[$flag] = $enabled;
    }

    public function preventStray(): void
    {
        $this->preventsStray = true;
    }

    public function preventsStray(): bool
    {
        return $this->preventsStray;
    }

    /**
     * @return list<Call>
     */
    public function calls(string $method, string $path): array
    {
        return array_values(array_filter($this->calls, fn (Call $call): bool => $call->method === $method && strtok($call->path, '?') === $path));
    }

    /**
     * @return list<Call>
     */
    public function all(): array
    {
        return $this->calls;
    }

    private function likeTheHub(Call $call, string $path): Reply
    {
        $body = $call->body ?? [];

        return match (true) {
            $call->method === 'POST' && $path === '/v1/events' => new Reply(202, ['id' => $call->id(), 'type' => $body['type'] ?? null, 'created_at' => gmdate('Y-m-d\TH:i:s.000\Z')]),
            $call->method === 'POST' && $path === '/v1/notifications' => new Reply(202, ['id' => $call->id(), 'channel' => $body['channel'] ?? null, 'status' => 'pending'] + self::links($body)),
            str_starts_with($path, '/v1/payments') => $this->payments->answer($call, $path),
            default => new Reply(200, []),
        };
    }

    /**
     * @param  array<array-key, mixed>  $body
     * @return array<string, mixed>
     */
    private static function links(array $body): array
    {
        $to = $body['to'] ?? null;

        return ($body['channel'] ?? null) === 'whatsapp' && is_string($to)
            ? ['whatsapp' => ['link' => 'https://wa.me/'.preg_replace('/\D/', '', $to), 'open_url' => 'https://trastienda.example/w/fake']]
            : [];
    }
}
