<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

use Closure;
use Illuminate\Contracts\Container\Container;
use Illuminate\Contracts\Http\Kernel;
use Illuminate\Http\Request;
use Throwable;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Trastienda;

/**
 * What the agent does for a shop without a public address, within this very process: asks the hub
 * for deliveries, hands each to the application's own route as it came, and reports what it said.
 */
final class PulledDeliveries
{
    /** Shorter than any transport's own deadline. */
    private const WAIT = 5;

    private const AT_ONCE = 10;

    private const EXCERPT = 1024;

    public function __construct(private readonly Trastienda $trastienda, private readonly Container $app)
    {
    }

    /**
     * Asks once, and waits a moment for what comes.
     *
     * @param  Closure(array<array-key, mixed> $delivery, array<string, mixed> $result): void  $tell
     *
     * @throws TrastiendaException
     */
    public function pull(Closure $tell): int
    {
        $answer = $this->trastienda->request('POST', '/v1/agent/poll', [
            'agent_id' => $this->name(),
            'wait' => self::WAIT,
            'max' => self::AT_ONCE,
            'status' => ['hub' => 'up', 'buffered' => 0, 'oldest_seconds' => 0, 'dead_letters' => 0, 'disk_bytes' => 0, 'version' => 'laravel'],
        ]);
        $deliveries = array_values(array_filter((array) ($answer['deliveries'] ?? []), 'is_array'));

        foreach ($deliveries as $delivery) {
            $result = ['lease' => $delivery['lease'] ?? ''] + $this->deliver($delivery);
            // One by one: a lease is short, and a listener may take its time.
            $this->trastienda->request('POST', '/v1/agent/results', ['agent_id' => $this->name(), 'results' => [$result]]);
            $tell($delivery, $result);
        }

        return count($deliveries);
    }

    /**
     * @param  array<array-key, mixed>  $delivery
     * @return array<string, mixed>
     */
    private function deliver(array $delivery): array
    {
        $path = Door::path($this->app);

        if (($delivery['path'] ?? null) !== $path) {
            return ['error_class' => 'refused_address', 'error' => "this shop takes webhooks at $path only"];
        }

        $started = hrtime(true);

        try {
            $response = $this->app->make(Kernel::class)->handle(Request::create($path, 'POST', [], [], [], $this->server($delivery), is_string($delivery['body'] ?? null) ? $delivery['body'] : ''));
        } catch (Throwable $exception) {
            return ['error_class' => 'broken', 'error' => $exception->getMessage(), 'duration_ms' => $this->since($started)];
        }

        return [
            'response_code' => $response->getStatusCode(),
            'response' => mb_strcut((string) $response->getContent(), 0, self::EXCERPT, 'UTF-8'),
            'duration_ms' => $this->since($started),
        ];
    }

    /**
     * @param  array<array-key, mixed>  $delivery
     * @return array<string, string>
     */
    private function server(array $delivery): array
    {
        $server = ['HTTP_ACCEPT' => 'application/json'];

        foreach ((array) ($delivery['headers'] ?? []) as $name => $value) {
            $name = strtoupper(strtr((string) $name, '-', '_'));
            $server[$name === 'CONTENT_TYPE' ? $name : "HTTP_$name"] = is_string($value) ? $value : '';
        }

        return $server;
    }

    private function since(int $started): int
    {
        return intdiv(hrtime(true) - $started, 1_000_000);
    }

    private function name(): string
    {
        return 'listen-'.(gethostname() ?: 'laptop').'-'.getmypid();
    }
}
