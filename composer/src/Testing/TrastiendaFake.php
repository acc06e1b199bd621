<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Testing;

use Closure;
use PHPUnit\Framework\Assert;
use RuntimeException;
use Trastienda\Laravel\Payments\Payment;
use Trastienda\Laravel\Wire\Call;

/**
 * What `Trastienda::fake()` gives: nothing leaves, everything can be asked about.
 */
final class TrastiendaFake
{
    public function __construct(public readonly FakeTransport $transport)
    {
    }

    /**
     * From here on, what was not named in `fake([…])` throws `StrayCall`.
     */
    public function preventStray(): self
    {
        $this->transport->preventStray();

        return $this;
    }

    public function preventsStray(): bool
    {
        return $this->transport->preventsStray();
    }

    public function withFeature(string $flag, bool $enabled = true): self
    {
        $this->transport->setFeature($flag, $enabled);

        return $this;
    }

    /**
     * The customer pays: `payments()->get()` says so from now on. The webhook is yours to send.
     */
    public function pay(string $orderOrPaymentId): Payment
    {
        return $this->change($orderOrPaymentId, ['status' => 'paid', 'detail' => null, 'external_id' => '123456789012', 'paid_at' => gmdate('Y-m-d\TH:i:s.000\Z')]);
    }

    public function reject(string $orderOrPaymentId, string $reason = 'insufficient_amount'): Payment
    {
        return $this->change($orderOrPaymentId, ['status' => 'failed', 'detail' => "rejected_$reason"]);
    }

    /**
     * @param  Closure|array<array-key, mixed>|int|null  $matching  a closure given the data and the call, data it must have, or how often
     */
    public function assertEventSent(string $type, Closure|array|int|null $matching = null): self
    {
        $found = $this->events($type, is_int($matching) ? null : $matching);
        is_int($matching)
            ? Assert::assertCount($matching, $found, "The event $type was sent ".count($found)." times instead of $matching.")
            : Assert::assertNotSame([], $found, "The event $type was not sent".($matching === null ? '.' : ' with that data.').$this->told());

        return $this;
    }

    /**
     * @param  Closure|array<array-key, mixed>|null  $matching
     */
    public function assertEventNotSent(string $type, Closure|array|null $matching = null): self
    {
        Assert::assertSame([], $this->events($type, $matching), "The event $type was sent.");

        return $this;
    }

    /**
     * @param  Closure|string|null  $matching  an address, a template's name, or a closure given the notification and the call
     */
    public function assertNotified(Closure|string|null $matching = null, ?Closure $and = null): self
    {
        Assert::assertNotSame([], $this->notifications($matching, $and), 'No such notification was sent.'.$this->told());

        return $this;
    }

    public function assertNotNotified(Closure|string|null $matching = null): self
    {
        Assert::assertSame([], $this->notifications($matching, null), 'Such a notification was sent.');

        return $this;
    }

    /**
     * @param  Closure|string|int|null  $matching  an order's id, or a closure given the payment and the call
     */
    public function assertPaymentCreated(Closure|string|int|null $matching = null, ?Closure $and = null): self
    {
        Assert::assertNotSame([], $this->payments($matching, $and), 'No such payment was created.'.$this->told());

        return $this;
    }

    public function assertPaymentNotCreated(Closure|string|int|null $matching = null): self
    {
        Assert::assertSame([], $this->payments($matching, null), 'Such a payment was created.');

        return $this;
    }

    public function assertRefunded(string $paymentId, ?string $amount = null): self
    {
        $found = array_filter(
            $this->transport->calls('POST', "/v1/payments/$paymentId/refunds"),
            fn (Call $call): bool => $amount === null || ($call->body['amount'] ?? null) === $amount,
        );
        Assert::assertNotSame([], $found, "The payment $paymentId was not refunded.");

        return $this;
    }

    /**
     * No call at all that would have changed anything.
     */
    public function assertNothingSent(): self
    {
        $sent = array_filter($this->transport->all(), fn (Call $call): bool => ! $call->isRead());
        Assert::assertSame([], $sent, 'Something was sent.'.$this->told());

        return $this;
    }

    /**
     * Every call so far, for what the assertions do not ask.
     *
     * @return list<Call>
     */
    public function calls(): array
    {
        return $this->transport->all();
    }

    /**
     * @param  Closure|array<array-key, mixed>|null  $matching
     * @return list<Call>
     */
    private function events(string $type, Closure|array|null $matching): array
    {
        return $this->which('/v1/events', function (Call $call) use ($type, $matching): bool {
            $data = (array) ($call->body['data'] ?? []);

            return ($call->body['type'] ?? null) === $type && match (true) {
                $matching instanceof Closure => (bool) $matching($data, $call),
                // Loosely, as an order's id may be a number on one side.
                is_array($matching) => array_intersect_key($data, $matching) == $matching,
                default => true,
            };
        });
    }

    /**
     * @return list<Call>
     */
    private function notifications(Closure|string|null $matching, ?Closure $and): array
    {
        return $this->which('/v1/notifications', function (Call $call) use ($matching, $and): bool {
            $body = $call->body ?? [];
            $fits = $matching instanceof Closure ? (bool) $matching($body, $call) : $matching === null || in_array($matching, [$body['to'] ?? null, $body['template'] ?? null], true);

            return $fits && ($and === null || (bool) $and($body, $call));
        });
    }

    /**
     * @return list<Call>
     */
    private function payments(Closure|string|int|null $matching, ?Closure $and): array
    {
        return $this->which('/v1/payments', function (Call $call) use ($matching, $and): bool {
            $body = $call->body ?? [];
            $fits = $matching instanceof Closure ? (bool) $matching($body, $call) : $matching === null || ($body['order_id'] ?? null) === "$matching";

            return $fits && ($and === null || (bool) $and($body, $call));
        });
    }

    /**
     * @param  Closure(Call): bool  $fits
     * @return list<Call>
     */
    private function which(string $path, Closure $fits): array
    {
        return array_values(array_filter($this->transport->calls('POST', $path), $fits));
    }

    /**
     * @param  array<string, mixed>  $changes
     */
    private function change(string $orderOrPaymentId, array $changes): Payment
    {
        return $this->transport->payments->change($orderOrPaymentId, $changes)
            ?? throw new RuntimeException("No payment was created for $orderOrPaymentId.");
    }

    private function told(): string
    {
        $calls = array_map(fn (Call $call): string => "$call->method $call->path ".json_encode($call->body, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), $this->transport->all());

        return $calls === [] ? ' Nothing was sent.' : "\nWhat was sent:\n".implode("\n", $calls);
    }
}
