<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Payments;

use Illuminate\Contracts\Support\Arrayable;
use Trastienda\Laravel\Contracts\Transport;
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
     * @param  array<string, mixed>|Arrayable<string, mixed>  $payment
     * @param  array{id?: string, idempotency_key?: string, attempt?: int, timeout_ms?: int, wait?: int}  $options  `wait` of 0: do not wait
     * @return array<string, mixed>
     */
    public function create(array|Arrayable $payment, array $options = []): array
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

        return $this->send(new Call('POST', '/v1/payments', $body, ['Idempotency-Key' => $key]), $options) + ['id' => $id];
    }

    /**
     * The payment as the hub knows it now, with its timeline.
     *
     * @return array<string, mixed>
     */
    public function get(string $id): array
    {
        return $this->transport->send(new Call('GET', '/v1/payments/'.rawurlencode($id), timeoutMs: $this->timeouts->syncMs))->body;
    }

    /**
     * Gives money back: `$amount` of it, or everything.
     *
     * @param  array{idempotency_key?: string, attempt?: int, timeout_ms?: int, wait?: int}  $options
     * @return array<string, mixed>
     */
    public function refund(string $id, ?string $amount = null, array $options = []): array
    {
        $options = Options::of($options, ['idempotency_key', 'attempt', 'timeout_ms', 'wait']);
        $key = $options->text('idempotency_key') ?? IdempotencyKey::forRefund($id, $amount, $options->int('attempt') ?? 1);
        $body = $amount === null ? [] : ['amount' => $amount];

        return $this->send(new Call('POST', '/v1/payments/'.rawurlencode($id).'/refunds', $body, ['Idempotency-Key' => $key]), $options);
    }

    /**
     * Gives up a payment that nobody has paid yet.
     *
     * @return array<string, mixed>
     */
    public function cancel(string $id): array
    {
        $headers = ['Idempotency-Key' => IdempotencyKey::forCancel($id)];

        return $this->send(new Call('POST', '/v1/payments/'.rawurlencode($id).'/cancel', [], $headers), Options::of([], []));
    }

    /**
     * @return array<string, mixed>
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
