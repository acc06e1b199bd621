<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Testing;

use Trastienda\Laravel\Payments\Payment;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Failure;
use Trastienda\Laravel\Wire\Reply;

/**
 * The payments of a faked hub. As at the real one, a key is one payment.
 */
final class FakePayments
{
    /** @var array<string, array<array-key, mixed>> by id */
    private array $payments = [];

    /** @var array<string, string> ids by idempotency key */
    private array $keys = [];

    public function answer(Call $call, string $path): Reply
    {
        $id = explode('/', $path)[3] ?? '';

        if ($id === '') {
            return $call->method === 'POST' ? $this->create($call) : $this->list($call);
        }

        $payment = $this->payments[$id] ?? throw Failure::fromReply(new Reply(404, ['code' => 'not_found', 'detail' => "No payment $id."]), $call);

        return match (explode('/', $path)[4] ?? '') {
            'refunds' => $this->refund($id, $payment, $call),
            'cancel' => new Reply(200, $this->put(['status' => 'failed', 'detail' => 'cancelled'] + $payment)),
            default => new Reply(200, $payment),
        };
    }

    /**
     * Changes a payment of this order (the newest), or the payment of this id.
     *
     * @param  array<string, mixed>  $changes
     */
    public function change(string $orderOrId, array $changes): ?Payment
    {
        foreach (array_reverse($this->payments) as $payment) {
            if ($payment['id'] === $orderOrId || $payment['order_id'] === $orderOrId) {
                return Payment::fromArray($this->put($changes + $payment));
            }
        }

        return null;
    }

    private function create(Call $call): Reply
    {
        $key = (string) $call->header('Idempotency-Key');
        $known = $this->keys[$key] ?? null;

        if ($known !== null) {
            return new Reply(200, $this->payments[$known]);
        }

        $payment = $this->put(Payloads::apiPayment($call->body ?? []));
        $this->keys[$key] = (string) $payment['id'];

        return new Reply(201, $payment);
    }

    private function list(Call $call): Reply
    {
        parse_str((string) parse_url($call->path, PHP_URL_QUERY), $query);
        $order = $query['order_id'] ?? null;
        $found = array_filter($this->payments, fn (array $payment): bool => $order === null || $payment['order_id'] === $order);

        return new Reply(200, ['data' => array_reverse(array_values($found)), 'next_cursor' => null]);
    }

    /**
     * @param  array<array-key, mixed>  $payment
     */
    private function refund(string $id, array $payment, Call $call): Reply
    {
        $amount = (string) ($call->body['amount'] ?? $payment['amount']);
        $refund = ['id' => 'rfd_'.substr($id, 4), 'status' => 'done', 'amount' => $amount, 'detail' => null, 'external_id' => '1', 'created_at' => gmdate('Y-m-d\TH:i:s.000\Z')];

        $this->put([
            'amount_refunded' => $amount,
            'detail' => $amount === $payment['amount'] ? 'refunded' : 'partially_refunded',
            'refunds' => [...(array) $payment['refunds'], $refund],
        ] + $payment);

        return new Reply(201, $refund);
    }

    /**
     * @param  array<array-key, mixed>  $payment
     * @return array<array-key, mixed>
     */
    private function put(array $payment): array
    {
        return $this->payments[(string) $payment['id']] = $payment;
    }
}
