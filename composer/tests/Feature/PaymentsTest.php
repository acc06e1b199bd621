<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Trastienda\Exception\HubUnavailable;
use Trastienda\Exception\InvalidRequest;
use Trastienda\Exception\OutcomeUnknown;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Tests\TestCase;

final class PaymentsTest extends TestCase
{
    private const CHECKOUT = [
        'order_id' => 'A-1', 'amount' => '1500.00', 'currency' => 'ARS', 'description' => 'Mate',
        'method' => 'checkout', 'payer' => ['email' => 'ana@example.com'],
    ];

    private const CREATED = ['status' => 201, 'body' => ['id' => '{id}', 'status' => 'pending', 'checkout_url' => 'https://pay.example/1']];

    public function test_a_payment_carries_its_id_and_a_key_derived_from_the_order(): void
    {
        $agent = $this->agent(self::CREATED);

        $payment = Trastienda::payments()->create(self::CHECKOUT);

        $request = $agent->onlyRequest();
        self::assertMatchesRegularExpression('/^pay_[0-9a-f]{32}$/', $payment['id']);
        self::assertSame('https://pay.example/1', $payment['checkout_url']);
        self::assertSame('order-A-1-payment-1', $request['headers']['idempotency-key']);
        self::assertSame(['id' => $payment['id']] + self::CHECKOUT, json_decode($request['body'], true));
    }

    public function test_the_same_order_again_is_the_same_payment_to_the_byte(): void
    {
        $agent = $this->agent(self::CREATED);

        $first = Trastienda::payments()->create(self::CHECKOUT);
        // Another request of the shop: nothing is left but the cache.
        $this->configure([]);
        $second = Trastienda::payments()->create(self::CHECKOUT);

        self::assertSame($first['id'], $second['id']);
        self::assertSame($agent->requests()[0]['body'], $agent->requests()[1]['body']);
        self::assertSame($agent->requests()[0]['headers']['idempotency-key'], $agent->requests()[1]['headers']['idempotency-key']);
    }

    public function test_another_attempt_is_another_payment(): void
    {
        $agent = $this->agent(self::CREATED);

        $first = Trastienda::payments()->create(self::CHECKOUT);
        $second = Trastienda::payments()->create(self::CHECKOUT, ['attempt' => 2]);

        self::assertNotSame($first['id'], $second['id']);
        self::assertSame('order-A-1-payment-2', $agent->requests()[1]['headers']['idempotency-key']);
    }

    public function test_the_hub_is_asked_to_wait_less_than_php_does(): void
    {
        $agent = $this->agent(self::CREATED);

        Trastienda::payments()->create(self::CHECKOUT);
        Trastienda::payments()->create(['order_id' => 'A-2'] + self::CHECKOUT, ['timeout_ms' => 8000]);
        Trastienda::payments()->create(['order_id' => 'A-3'] + self::CHECKOUT, ['wait' => 0]);

        self::assertSame(['wait=10', 'wait=4', 'respond-async'], array_map(fn (array $request): string => $request['headers']['prefer'], $agent->requests()));
    }

    public function test_a_timeout_is_neither_paid_nor_failed_and_tells_the_id(): void
    {
        $agent = $this->agent(['hang' => true]);
        $hub = $this->hub(self::CREATED);

        try {
            Trastienda::payments()->create(self::CHECKOUT, ['timeout_ms' => 150]);
            self::fail('No exception.');
        } catch (OutcomeUnknown $exception) {
            self::assertSame(json_decode($agent->onlyRequest()['body'], true)['id'], $exception->id());
            self::assertSame([], $hub->requests(), 'A payment that may have happened must not be sent another way.');
        }
    }

    public function test_a_broken_answer_leaves_the_outcome_unknown(): void
    {
        $this->agent(['status' => 504]);

        try {
            Trastienda::payments()->create(self::CHECKOUT);
            self::fail('No exception.');
        } catch (OutcomeUnknown $exception) {
            self::assertStringStartsWith('pay_', (string) $exception->id());
        }
    }

    public function test_a_payment_the_agent_never_saw_goes_to_the_hub(): void
    {
        $hub = $this->hub(self::CREATED);

        $payment = Trastienda::payments()->create(self::CHECKOUT);

        self::assertSame($payment['id'], json_decode($hub->onlyRequest()['body'], true)['id']);
    }

    public function test_get_refund_and_cancel_use_the_contracts_paths(): void
    {
        $agent = $this->agent(['status' => 200, 'body' => ['id' => 'pay_1', 'status' => 'paid']]);

        self::assertSame('paid', Trastienda::payments()->get('pay_1')['status']);
        Trastienda::payments()->refund('pay_1', '10.00');
        Trastienda::payments()->cancel('pay_1');

        [$get, $refund, $cancel] = $agent->requests();
        self::assertSame('GET /v1/payments/pay_1', "{$get['method']} {$get['path']}");
        self::assertSame('POST /v1/payments/pay_1/refunds', "{$refund['method']} {$refund['path']}");
        self::assertSame(['{"amount":"10.00"}', 'pay_1-refund-10.00-1'], [$refund['body'], $refund['headers']['idempotency-key']]);
        self::assertSame(['POST /v1/payments/pay_1/cancel', '{}'], ["{$cancel['method']} {$cancel['path']}", $cancel['body']]);
    }

    public function test_a_payment_without_an_order_is_refused_before_it_leaves(): void
    {
        $agent = $this->agent(self::CREATED);

        try {
            Trastienda::payments()->create(['amount' => '1.00']);
            self::fail('No exception.');
        } catch (InvalidRequest $exception) {
            self::assertSame('/order_id', $exception->errors()[0]['pointer']);
            self::assertSame([], $agent->requests());
        }
    }

    public function test_disabled_never_invents_a_payment(): void
    {
        $this->configure(['enabled' => false]);

        $this->expectException(HubUnavailable::class);
        Trastienda::payments()->create(self::CHECKOUT);
    }
}
