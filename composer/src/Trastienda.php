<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

use DateTimeInterface;
use Illuminate\Contracts\Support\Arrayable;
use Trastienda\Exception\HubUnavailable;
use Trastienda\Exception\OutcomeUnknown;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Features\Features;
use Trastienda\Laravel\Payments\Payments;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Options;
use Trastienda\Laravel\Wire\Plain;

/**
 * What a shop says to Trastienda. Behind the facade of the same name.
 *
 * Every method throws `Trastienda\Exception\TrastiendaException` or one of its children,
 * except `feature()`, which answers its default, and `status()`, which reports.
 */
final class Trastienda
{
    public function __construct(
        private readonly Transport $transport,
        private readonly Settings $settings,
        private readonly Payments $payments,
        private readonly Features $features,
        private readonly Diagnosis $diagnosis,
    ) {
    }

    /**
     * Tells the hub that something happened; every webhook address subscribed to it hears.
     *
     * @param  array<string, mixed>|Arrayable<string, mixed>  $data
     * @param  array{id?: string, idempotency_key?: string, timeout_ms?: int, occurred_at?: DateTimeInterface|string}  $options
     * @return string the event's id, safe to keep before the hub has seen it
     */
    public function event(string $type, array|Arrayable $data, array $options = []): string
    {
        $options = Options::of($options, ['id', 'idempotency_key', 'timeout_ms', 'occurred_at']);
        $id = $options->text('id') ?? Ids::event();
        $body = ['id' => $id, 'type' => $type, 'data' => Plain::of($data)];

        if ($options->text('occurred_at') !== null) {
            $body['occurred_at'] = $options->text('occurred_at');
        }

        $reply = $this->transport->send(new Call('POST', '/v1/events', $body, $options->headers(), $options->int('timeout_ms')));

        return $reply->text('id') ?? $id;
    }

    /**
     * Sends an e-mail, or makes a WhatsApp link for somebody to open.
     *
     * With `wait`, the hub itself answers, at most that many seconds later, and a WhatsApp
     * notification brings its link. It is a preference: when the hub is away the agent
     * keeps the notification all the same, and the answer comes without one.
     *
     * @param  array<string, mixed>|Arrayable<string, mixed>  $notification
     * @param  array{id?: string, idempotency_key?: string, timeout_ms?: int, wait?: int}  $options
     * @return array<string, mixed>
     */
    public function notify(array|Arrayable $notification, array $options = []): array
    {
        $options = Options::of($options, ['id', 'idempotency_key', 'timeout_ms', 'wait']);
        $body = Plain::of($notification);
        $body = ['id' => $options->text('id') ?? $body['id'] ?? Ids::notification()] + $body;
        $wait = $options->int('wait');
        $headers = $options->headers();
        $timeout = $options->int('timeout_ms');

        if ($wait !== null) {
            $wait = max(1, min(25, $wait));
            $headers['Prefer'] = "wait=$wait";
            // The agent gives the hub five seconds more than that; its answer comes first.
            $timeout ??= ($wait + 6) * 1000;
        }

        $call = new Call('POST', '/v1/notifications', $body, $headers, $timeout);

        try {
            $reply = $this->transport->send($call);
        } catch (HubUnavailable|OutcomeUnknown $failure) {
            if ($wait === null || $this->transport->name() === 'http') {
                throw $failure;
            }

            $reply = $this->transport->send($call->withoutHeader('Prefer'));
        }

        return $reply->body + ['id' => $body['id']];
    }

    public function payments(): Payments
    {
        return $this->payments;
    }

    /**
     * Whether the project has a feature; `$default` when nobody can say. Never throws.
     */
    public function feature(string $flag, bool $default = false): bool
    {
        return $this->features->enabled($flag, $default);
    }

    /**
     * Any other call of the contract.
     *
     * @param  array<string, mixed>|null  $body
     * @param  array<string, string>  $headers
     * @return array<array-key, mixed>
     */
    public function request(string $method, string $path, ?array $body = null, array $headers = []): array
    {
        $call = new Call(
            strtoupper($method),
            '/'.ltrim($path, '/'),
            $body === null ? null : Plain::of($body),
            $headers,
            $this->settings->timeouts->syncMs,
        );

        return $this->transport->send($call)->body;
    }

    /**
     * What is there and what answers, as `php artisan trastienda:status` shows it.
     *
     * @return array<string, mixed>
     */
    public function status(): array
    {
        return $this->diagnosis->run();
    }
}
