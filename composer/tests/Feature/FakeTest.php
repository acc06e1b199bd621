<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Support\Facades\Artisan;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Event;
use Illuminate\Support\Facades\Route;
use PHPUnit\Framework\AssertionFailedError;
use Trastienda\Exception\RateLimited;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Testing\StrayCall;
use Trastienda\Laravel\Tests\TestCase;
use Trastienda\Laravel\Webhooks\Events\OrderPaid;
use Trastienda\Laravel\Wire\Reply;

final class FakeTest extends TestCase
{
    private const PAYMENT = ['order_id' => 'A-1', 'amount' => '10.00', 'currency' => 'ARS', 'description' => 'x', 'method' => 'checkout', 'payer' => []];

    public function test_nothing_leaves_and_everything_can_be_asked_about(): void
    {
        $agent = $this->agent();
        Trastienda::fake();

        Trastienda::event('order.created', ['order_id' => 1]);
        Trastienda::notify(['channel' => 'email', 'to' => 'ana@example.com', 'template' => 'order_confirmation', 'order_id' => 1]);
        Trastienda::payments()->create(self::PAYMENT);

        self::assertSame([], $agent->requests());
        Trastienda::assertEventSent('order.created');
        Trastienda::assertEventSent('order.created', ['order_id' => 1]);
        Trastienda::assertEventSent('order.created', 1);
        Trastienda::assertEventNotSent('order.paid');
        Trastienda::assertNotified('ana@example.com');
        Trastienda::assertNotified('order_confirmation', fn (array $notification): bool => $notification['order_id'] === '1');
        Trastienda::assertNotNotified('eva@example.com');
        Trastienda::assertPaymentCreated('A-1', fn (array $payment): bool => $payment['amount'] === '10.00');
        Trastienda::assertPaymentNotCreated('A-2');
    }

    /**
     * @dataProvider failingAssertions
     */
    #[\PHPUnit\Framework\Attributes\DataProvider('failingAssertions')]
    public function test_assertions_fail_when_they_should(string $assertion, mixed ...$arguments): void
    {
        Trastienda::fake();
        Trastienda::event('order.created', ['order_id' => 'A-1']);

        $this->expectException(AssertionFailedError::class);
        Trastienda::{$assertion}(...$arguments);
    }

    /**
     * @return array<string, list<mixed>>
     */
    public static function failingAssertions(): array
    {
        return [
            'another type' => ['assertEventSent', 'order.paid'],
            'other data' => ['assertEventSent', 'order.created', ['order_id' => 'A-2']],
            'more often' => ['assertEventSent', 'order.created', 2],
            'it was sent' => ['assertEventNotSent', 'order.created'],
            'no mail' => ['assertNotified'],
            'no payment' => ['assertPaymentCreated'],
            'no refund' => ['assertRefunded', 'pay_1'],
            'something was sent' => ['assertNothingSent'],
        ];
    }

    public function test_nothing_sent_allows_reading(): void
    {
        Trastienda::fake();
        Trastienda::request('GET', '/v1/project');
        self::assertTrue(Trastienda::feature('wishlist', true));

        Trastienda::assertNothingSent();
    }

    public function test_in_a_transaction_and_with_an_outbox_it_is_told_at_once(): void
    {
        $this->configure(['outbox' => ['enabled' => true]]);
        Trastienda::fake();

        DB::transaction(function (): void {
            Trastienda::event('order.created', ['order_id' => 'A-1']);
            Trastienda::assertEventSent('order.created');
        });
    }

    public function test_a_faked_payment_lives_as_one_at_the_hub(): void
    {
        $fake = Trastienda::fake();

        $payment = Trastienda::payments()->create(self::PAYMENT);
        self::assertSame($payment->id, Trastienda::payments()->create(self::PAYMENT)->id);
        self::assertNotSame($payment->id, Trastienda::payments()->create(self::PAYMENT, ['attempt' => 2])->id);
        self::assertTrue($payment->isPending());
        self::assertNotNull($payment->checkoutUrl);

        $fake->pay($payment->id);
        self::assertTrue(Trastienda::payments()->get($payment->id)->isPaid());
        self::assertSame('done', Trastienda::payments()->refund($payment->id)->status);
        self::assertTrue(Trastienda::payments()->get($payment->id)->isRefunded());
        Trastienda::assertRefunded($payment->id);
        self::assertCount(2, Trastienda::payments()->forOrder('A-1'));
        self::assertSame('rejected_other_reason', $fake->reject('A-1', 'other_reason')->detail);
    }

    public function test_answers_can_be_scripted(): void
    {
        Trastienda::fake([
            'POST /v1/payments' => ['status' => 'paid'],
            'POST /v1/events' => new Reply(429, ['code' => 'rate_limited', 'detail' => 'Slowly.'], ['retry-after' => '7']),
        ]);

        self::assertTrue(Trastienda::payments()->create(self::PAYMENT)->isPaid());

        try {
            Trastienda::event('order.created', ['order_id' => 'A-1']);
            self::fail('No exception.');
        } catch (RateLimited $exception) {
            self::assertSame(7, $exception->retryAfter());
        }
    }

    public function test_a_stray_call_is_an_error_that_no_shop_swallows(): void
    {
        Trastienda::fake(['events'])->preventStray();
        Trastienda::event('order.created', ['order_id' => 'A-1']);

        self::assertFalse(is_subclass_of(StrayCall::class, \Trastienda\Exception\TrastiendaException::class));
        $this->expectException(StrayCall::class);
        Trastienda::notify(['channel' => 'email', 'to' => 'ana@example.com', 'subject' => 'x', 'text' => 'x']);
    }

    public function test_a_suite_may_forbid_every_stray_and_a_test_allow_some(): void
    {
        Trastienda::preventStray();

        try {
            Trastienda::event('order.created', ['order_id' => 'A-1']);
            self::fail('No exception.');
        } catch (StrayCall) {
        }

        Trastienda::fake(['events']);
        Trastienda::event('order.created', ['order_id' => 'A-1']);
        $this->expectException(StrayCall::class);
        Trastienda::payments()->create(self::PAYMENT);
    }

    public function test_flags_are_what_the_test_says(): void
    {
        Trastienda::fake()->withFeature('wishlist')->withFeature('coupons', false);

        self::assertTrue(Trastienda::feature('wishlist'));
        self::assertFalse(Trastienda::feature('coupons', true));
        self::assertTrue(Trastienda::feature('unknown', true));
    }

    public function test_a_signed_webhook_is_one_line(): void
    {
        Artisan::call('migrate');
        Route::trastiendaWebhooks();
        $paid = [];
        Event::listen(OrderPaid::class, function (OrderPaid $event) use (&$paid): void {
            $paid[] = $event->orderId();
        });

        Trastienda::webhook('order.paid', ['order_id' => 42])->post($this)->assertOk();
        Trastienda::webhook('order.paid', ['order_id' => 43])->signedWith('whsec_'.base64_encode('a stranger'))->post($this)->assertUnauthorized();
        Trastienda::webhook('order.paid', ['order_id' => 43])->at(time() - 3600)->post($this)->assertUnauthorized();
        $again = Trastienda::webhook('order.paid', ['order_id' => 44]);
        $again->post($this)->assertJson(['duplicate' => false]);
        $again->asReplay()->post($this)->assertJson(['duplicate' => true]);

        self::assertSame(['42', '44'], $paid);
    }

    public function test_asserting_without_faking_says_so(): void
    {
        $this->expectExceptionMessage('Call Trastienda::fake() first.');
        Trastienda::assertNothingSent();
    }
}
