<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Payments;

use Illuminate\Contracts\Support\Arrayable;
use Illuminate\Support\Traits\Macroable;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\IdempotencyKey;
use Trastienda\Laravel\Timeouts;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Failure;
use Trastienda\Laravel\Wire\Options;
use Trastienda\Laravel\Wire\Plain;

/**
 * Payments, which wait for their outcome and are never repeated by accident.
 */
final class Payments
{
    use Macroable;

    public function __construct(
        private readonly Transport $transport,
        private readonly Timeouts $timeouts,
        private readonly RememberedIds $ids,
    ) {
    }

    /**
     * Starts a payment. The same order and `attempt` are the same payment, however often
     * this is called.
     *
     * A time-out throws `OutcomeUnknown` with the payment's id: it is neither paid nor
     * failed, and `get()` will tell later.
     *
     * @param  array<array-key, mixed>|Arrayable<array-key, mixed>  $payment
     * @param  array<string, mixed>  $options  `id`, `idempotency_key`, `attempt`, `timeout_ms`, `wait` (0: do not wait)
     */
    public function create(array|Arrayable $payment, array $options = []): Payment
    {
        $options = Options::of($options, ['id', 'idempotency_key', 'attempt', 'timeout_ms', 'wait']);
        $body = Plain::of($payment);
        $order = $body['order_id'] ?? null;

        if (! is_scalar($order) || (string) $order === '') {
            throw Failure::invalidRequest('A payment needs its order.', [['pointer' => '/order_id', 'message' => 'is missing']]);
        }

        $key = $options->text('idempotency_key') ?? IdempotencyKey::forPayment((string) $order, $options->int('attempt') ?? 1);
        $id = $options->text('id') ?? $body['id'] ?? $this->ids->forKey($key);
        $body = ['id' => $id, 'order_id' => (string) $order] + $body;

        return Payment::fromArray($this->send(new Call('POST', '/v1/payments', $body, ['Idempotency-Key' => $key]), $options) + ['id' => $id]);
    }

    /**
     * The payment as the hub knows it now, with its refunds and its timeline.
     */
    public function get(string $id): Payment
    {
        return Payment::fromArray($this->transport->send(new Call('GET', self::path($id), timeoutMs: $this->timeouts->syncMs))->body);
    }

    /**
     * An order's payments, newest first.
     *
     * @return list<Payment>
     */
    public function forOrder(string|int $order): array
    {
        $path = '/v1/payments?'.http_build_query(['order_id' => (string) $order, 'limit' => 200]);
        $answer = $this->transport->send(new Call('GET', $path, timeoutMs: $this->timeouts->syncMs))->body;

        return array_map(Payment::fromArray(...), array_values(array_filter((array) ($answer['data'] ?? []), 'is_array')));
    }

    /**
     * Gives money back: `$amount` of it, or everything. The same payment, amount and
     * `attempt` are the same refund.
     *
     * @param  array<string, mixed>  $options  `idempotency_key`, `attempt`, `timeout_ms`, `wait`
     */
    public function refund(string $id, ?string $amount = null, array $options = []): Refund
    {
        $options = Options::of($options, ['idempotency_key', 'attempt', 'timeout_ms', 'wait']);
        $key = $options->text('idempotency_key') ?? IdempotencyKey::forRefund($id, $amount, $options->int('attempt') ?? 1);
        $body = $amount === null ? [] : ['amount' => $amount];

        return Refund::fromArray($this->send(new Call('POST', self::path($id).'/refunds', $body, ['Idempotency-Key' => $key]), $options));
    }

    /**
     * Gives up a payment that nobody has paid yet.
     */
    public function cancel(string $id): Payment
    {
        $headers = ['Idempotency-Key' => IdempotencyKey::forCancel($id)];

        return Payment::fromArray($this->send(new Call('POST', self::path($id).'/cancel', [], $headers), Options::of([], [])) + ['id' => $id]);
    }

    /**
     * Asks the provider now, for whoever cannot wait until the hub asks by itself.
     */
    public function sync(string $id): Payment
    {
        return Payment::fromArray($this->send(new Call('POST', self::path($id).'/sync', []), Options::of([], [])) + ['id' => $id]);
    }

    private static function path(string $id): string
    {
        return '/v1/payments/'.rawurlencode($id);
    }

    /**
     * @return array<array-key, mixed>
     */
    private function send(Call $call, Options $options): array
    {
        $timeout = $options->int('timeout_ms') ?? $this->timeouts->syncMs;
        $longest = Timeouts::waitWithin($timeout);
        // Less than our own patience, so that the hub answers `pending` before we give up.
        $wait = min($options->int('wait') ?? $longest, $longest);
        $prefer = $wait > 0 ? "wait=$wait" : 'respond-async';

        $call = new Call($call->method, $call->path, $call->body, $call->headers + ['Prefer' => $prefer], $timeout);

        return $this->transport->send($call)->body;
    }
}
