<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Psr\Log\NullLogger;
use Trastienda\Exception\AgentUnavailable;
use Trastienda\Exception\OutcomeUnknown;
use Trastienda\Exception\RateLimited;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Exceptions\InvalidConfig;
use Trastienda\Laravel\Extension;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Settings;
use Trastienda\Laravel\Tests\Support\ExtensionCalls;
use Trastienda\Laravel\Tests\TestCase;
use Trastienda\Laravel\Transports\ExtensionTransport;
use Trastienda\Laravel\Transports\FallbackTransport;
use Trastienda\Laravel\Transports\HttpTransport;

require_once __DIR__.'/../Support/extension_functions.php';

/**
 * What the package asks of the extension, with stand-ins for its functions.
 */
final class ExtensionTransportTest extends TestCase
{
    protected function setUp(): void
    {
        parent::setUp();

        ExtensionCalls::reset();
        $this->app->instance(Transport::class, new ExtensionTransport());
    }

    public function test_an_event_is_one_native_call_with_the_id_made_here(): void
    {
        $id = Trastienda::event('order.created', ['order_id' => 'A-1'], ['idempotency_key' => 'k', 'timeout_ms' => 90]);

        self::assertStringStartsWith('evt_', $id);
        self::assertSame(
            [['event', ['order.created', ['order_id' => 'A-1'], ['id' => $id, 'idempotency_key' => 'k', 'timeout_ms' => 90]]]],
            ExtensionCalls::$made,
        );
    }

    public function test_what_the_native_event_cannot_say_goes_as_a_request(): void
    {
        $id = Trastienda::event('order.created', ['order_id' => 'A-1'], ['occurred_at' => '2026-11-24T12:00:00Z']);

        self::assertSame('request', ExtensionCalls::$made[0][0]);
        self::assertSame(['POST', '/v1/events'], array_slice(ExtensionCalls::$made[0][1], 0, 2));
        self::assertSame($id, ExtensionCalls::$made[0][1][2]['id']);
    }

    public function test_a_notification_is_native_whether_it_waits_or_not(): void
    {
        $plain = Trastienda::notify(['channel' => 'email', 'to' => 'a@example.com', 'text' => 'Hola', 'subject' => 'Hola']);
        Trastienda::notify(['channel' => 'whatsapp', 'to' => '+541112345678', 'text' => 'Hola'], ['wait' => 5]);

        self::assertSame(['notify', 'notify'], array_column(ExtensionCalls::$made, 0));
        self::assertSame(['id' => $plain['id']], ExtensionCalls::$made[0][1][1]);
        self::assertSame(['timeout_ms' => 11000, 'wait' => 5], array_diff_key(ExtensionCalls::$made[1][1][1], ['id' => 1]));
    }

    public function test_a_payment_is_native_with_id_and_key(): void
    {
        $payment = Trastienda::payments()->create(['order_id' => 'A-1', 'amount' => '10.00']);
        Trastienda::payments()->get('pay_019cafe00000700080000000000000a1');

        [$create, $get] = ExtensionCalls::$made;
        self::assertSame(['id' => $payment['id'], 'idempotency_key' => 'order-A-1-payment-1', 'timeout_ms' => 15000, 'wait' => 10], $create[1][1]);
        self::assertSame(['payment_get', ['pay_019cafe00000700080000000000000a1']], $get);
    }

    public function test_features_come_from_the_agents_own_copy(): void
    {
        self::assertTrue(Trastienda::feature('wishlist', false));
        self::assertSame([['feature', ['wishlist', false]]], ExtensionCalls::$made);
    }

    public function test_a_refused_request_throws_although_the_native_one_does_not(): void
    {
        ExtensionCalls::$answer = ['status' => 429, 'headers' => ['retry-after' => '7', 'vary' => ['a', 'b']], 'body' => ['code' => 'rate_limited', 'detail' => 'slower']];

        try {
            Trastienda::request('GET', '/v1/events');
            self::fail('No exception.');
        } catch (RateLimited $exception) {
            self::assertSame(['slower', 'rate_limited', 7], [$exception->getMessage(), $exception->problemCode(), $exception->retryAfter()]);
        }
    }

    public function test_when_the_native_call_finds_no_agent_the_hub_gets_the_same_id(): void
    {
        $hub = $this->hub();
        ExtensionCalls::$failure = new AgentUnavailable('no socket');
        $this->app->instance(Transport::class, new FallbackTransport(new ExtensionTransport(), new HttpTransport($this->app->make(Settings::class)), new NullLogger()));

        $id = Trastienda::event('order.created', ['order_id' => 'A-1']);

        self::assertSame($id, ExtensionCalls::$made[0][1][2]['id']);
        self::assertSame($id, json_decode($hub->onlyRequest()['body'], true)['id']);
    }

    public function test_an_unknown_outcome_of_a_payment_is_not_sent_another_way(): void
    {
        $hub = $this->hub();
        ExtensionCalls::$failure = new OutcomeUnknown('late');
        $this->app->instance(Transport::class, new FallbackTransport(new ExtensionTransport(), new HttpTransport($this->app->make(Settings::class)), new NullLogger()));

        try {
            Trastienda::payments()->create(['order_id' => 'A-1', 'amount' => '10.00']);
            self::fail('No exception.');
        } catch (OutcomeUnknown) {
            self::assertSame([], $hub->requests());
        }
    }

    public function test_asking_for_an_extension_that_is_not_there_says_so(): void
    {
        if ($this->app->make(Extension::class)->isUsable()) {
            self::markTestSkipped('The native extension is loaded here.');
        }

        $this->configure(['transport' => 'extension']);

        $this->expectException(InvalidConfig::class);
        $this->expectExceptionMessage('not loaded');
        Trastienda::event('order.created', ['order_id' => 'A-1']);
    }
}
