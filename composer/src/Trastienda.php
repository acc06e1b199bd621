<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

use Illuminate\Contracts\Support\Arrayable;
use Illuminate\Support\Traits\Macroable;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Features\Features;
use Trastienda\Laravel\Outgoing\Outgoing;
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
    use Macroable;

    public function __construct(
        private readonly Transport $transport,
        private readonly Outgoing $outgoing,
        private readonly Settings $settings,
        private readonly Payments $payments,
        private readonly Features $features,
        private readonly Diagnosis $diagnosis,
    ) {
    }

    /**
     * Tells the hub that something happened; every webhook address subscribed to it hears.
     *
     * In a database transaction it leaves after the commit (`after_commit`), or with it
     * (`outbox`). The id is known at once either way.
     *
     * @param  array<array-key, mixed>|Arrayable<array-key, mixed>  $data
     * @param  array<string, mixed>  $options  `id`, `idempotency_key`, `timeout_ms`, `occurred_at`, `after_commit`, `outbox`
     * @return string the event's id, safe to keep before the hub has seen it
     */
    public function event(string $type, array|Arrayable $data = [], array $options = []): string
    {
        $options = Options::of($options, ['id', 'idempotency_key', 'timeout_ms', 'occurred_at', 'after_commit', 'outbox']);
        $id = $options->text('id') ?? Ids::event();
        $body = ['id' => $id, 'type' => $type, 'data' => self::withOrder(Plain::of($data))];

        if ($options->text('occurred_at') !== null) {
            $body['occurred_at'] = $options->text('occurred_at');
        }

        $call = new Call('POST', '/v1/events', $body, $options->headers(), $options->int('timeout_ms'));
        $reply = $this->outgoing->send($call, $options->bool('after_commit'), $options->bool('outbox'));

        return $reply->text('id') ?? $id;
    }

    /**
     * Sends an e-mail, or makes a WhatsApp link for somebody to open.
     *
     * What is about an order and uses a template is the same notification however often it
     * is sent to the same address: say `attempt` 2 to send it again on purpose.
     *
     * With `wait`, the hub itself answers, at most that many seconds later, and a WhatsApp
     * notification brings its link. It is a preference: when the hub is away the agent
     * keeps the notification all the same, and the answer comes without one. What waits
     * leaves at once, transaction or not.
     *
     * @param  array<array-key, mixed>|Arrayable<array-key, mixed>  $notification
     * @param  array<string, mixed>  $options  `id`, `idempotency_key`, `attempt`, `timeout_ms`, `wait`, `after_commit`, `outbox`
     * @return array<array-key, mixed> `id`, `channel`, `status`, and for WhatsApp the links once the hub has answered
     */
    public function notify(array|Arrayable $notification, array $options = []): array
    {
        $options = Options::of($options, ['id', 'idempotency_key', 'attempt', 'timeout_ms', 'wait', 'after_commit', 'outbox']);
        $body = self::withOrder(Plain::of($notification));
        $body = ['id' => $options->text('id') ?? $body['id'] ?? Ids::notification()] + $body;
        $call = new Call('POST', '/v1/notifications', $body, $options->headers(), $options->int('timeout_ms'));
        $call = $call->withDefaultKey(IdempotencyKey::forNotification($body, $options->int('attempt') ?? 1));
        $wait = $options->int('wait');

        $reply = $wait === null
            ? $this->outgoing->send($call, $options->bool('after_commit'), $options->bool('outbox'))
            : $this->outgoing->waitFor($call, max(1, min(25, $wait)));

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

    /**
     * An order's id is text in the contract, and a number in most shops.
     *
     * @param  array<array-key, mixed>  $body
     * @return array<array-key, mixed>
     */
    private static function withOrder(array $body): array
    {
        if (is_int($body['order_id'] ?? null)) {
            $body['order_id'] = (string) $body['order_id'];
        }

        return $body;
    }
}
