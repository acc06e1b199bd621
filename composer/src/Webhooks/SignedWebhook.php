<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

use Illuminate\Contracts\Http\Kernel;
use Illuminate\Http\Request;
use Illuminate\Support\Carbon;
use Symfony\Component\HttpFoundation\Response;
use Trastienda\Laravel\Exceptions\InvalidConfig;
use Trastienda\Laravel\Ids;

/**
 * A webhook signed here as the hub signs it, with the shop's own secret: for tests, for
 * `trastienda:trigger --local` and for `trastienda:webhooks listen`.
 *
 * Immutable: each `with…` gives another.
 */
final class SignedWebhook
{
    /**
     * @param  array<array-key, mixed>  $data
     */
    private function __construct(
        private readonly string $id,
        private readonly string $type,
        private readonly array $data,
        private readonly ?string $secret,
        private readonly int $at,
        private readonly ?string $replay,
        private readonly string $project,
    ) {
    }

    /**
     * @param  array<array-key, mixed>  $data
     */
    public static function make(string $type, array $data): self
    {
        return new self(Ids::event(), $type, $data, null, Carbon::now()->getTimestamp(), null, 'prj_'.str_repeat('0', 32));
    }

    public function withId(string $id): self
    {
        return new self($id, $this->type, $this->data, $this->secret, $this->at, $this->replay, $this->project);
    }

    /**
     * Signed with another secret than the configured one: what a stranger would send.
     */
    public function signedWith(string $secret): self
    {
        return new self($this->id, $this->type, $this->data, $secret, $this->at, $this->replay, $this->project);
    }

    /**
     * Sent then, in seconds since 1970.
     */
    public function at(int $timestamp): self
    {
        return new self($this->id, $this->type, $this->data, $this->secret, $timestamp, $this->replay, $this->project);
    }

    /**
     * Sent again because an operator asked for it.
     */
    public function asReplay(string $delivery = 'whd_00000000000000000000000000000000'): self
    {
        return new self($this->id, $this->type, $this->data, $this->secret, $this->at, $delivery, $this->project);
    }

    public function withProject(string $project): self
    {
        return new self($this->id, $this->type, $this->data, $this->secret, $this->at, $this->replay, $project);
    }

    public function id(): string
    {
        return $this->id;
    }

    public function body(): string
    {
        return (string) json_encode([
            'id' => $this->id,
            'type' => $this->type,
            'timestamp' => gmdate('Y-m-d\TH:i:s.000\Z', $this->at),
            'project' => $this->project,
            'data' => $this->data === [] ? (object) [] : $this->data,
        ], JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR);
    }

    /**
     * @return array<string, string>
     */
    public function headers(): array
    {
        $key = base64_decode(substr($this->secret(), 6), true);
        $signature = base64_encode(hash_hmac('sha256', "$this->id.$this->at.{$this->body()}", $key === false ? '' : $key, true));

        return array_filter([
            'content-type' => 'application/json',
            'accept' => 'application/json',
            'webhook-id' => $this->id,
            'webhook-timestamp' => (string) $this->at,
            'webhook-signature' => "v1,$signature",
            'trastienda-replay' => $this->replay,
        ], 'is_string');
    }

    public function toRequest(?string $uri = null): Request
    {
        return Request::create($uri ?? Door::path(app()), 'POST', [], [], [], $this->server(), $this->body());
    }

    /**
     * Delivers it to this very application, through its routes and middleware.
     */
    public function deliver(?string $uri = null): Response
    {
        return app(Kernel::class)->handle($this->toRequest($uri));
    }

    /**
     * Delivers it by a test's own client: `Trastienda::webhook('order.paid', […])->post($this)`.
     *
     * @param  object  $test  a Laravel test case
     * @return \Illuminate\Testing\TestResponse<Response>
     */
    public function post(object $test, ?string $uri = null): object
    {
        return $test->call('POST', $uri ?? Door::path(app()), [], [], [], $this->server(), $this->body());
    }

    /**
     * @return array<string, string>
     */
    private function server(): array
    {
        $server = [];

        foreach ($this->headers() as $name => $value) {
            $name = strtoupper(strtr($name, '-', '_'));
            $server[$name === 'CONTENT_TYPE' ? $name : "HTTP_$name"] = $value;
        }

        return $server;
    }

    private function secret(): string
    {
        $secret = $this->secret ?? config('trastienda.webhooks.secret');
        $secret = is_array($secret) ? reset($secret) : explode(',', is_string($secret) ? $secret : '')[0];
        $secret = is_string($secret) ? trim($secret) : '';

        return str_starts_with($secret, 'whsec_') ? $secret : throw InvalidConfig::missingWebhookSecret();
    }
}
