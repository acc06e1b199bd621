<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use DateTimeImmutable;
use Trastienda\Exception\AgentUnavailable;
use Trastienda\Exception\InvalidRequest;
use Trastienda\Exception\OutcomeUnknown;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Tests\Support\StubServer;
use Trastienda\Laravel\Tests\TestCase;

final class EventsTest extends TestCase
{
    private const ACCEPTED = ['status' => 202, 'body' => ['id' => '{id}', 'type' => 'order.created']];

    public function test_an_event_goes_to_the_agents_socket_with_an_id_made_here(): void
    {
        $agent = $this->agent(self::ACCEPTED);

        $id = Trastienda::event('order.created', ['order_id' => 'A-1', 'total' => '10.00']);

        $request = $agent->onlyRequest();
        self::assertMatchesRegularExpression('/^evt_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/', $id);
        self::assertSame(['POST', '/v1/events'], [$request['method'], $request['path']]);
        self::assertSame('application/json', $request['headers']['content-type']);
        self::assertSame(
            ['id' => $id, 'type' => 'order.created', 'data' => ['order_id' => 'A-1', 'total' => '10.00']],
            json_decode($request['body'], true),
        );
    }

    public function test_the_key_goes_along_so_that_a_neighbours_agent_refuses(): void
    {
        $agent = $this->agent(self::ACCEPTED);
        $this->configure(['key' => 'tk_live_mine']);

        Trastienda::event('stock.low', ['sku' => 'x']);

        self::assertSame('tk_live_mine', $agent->onlyRequest()['headers']['x-api-key']);
    }

    public function test_straight_to_the_hub_with_the_key(): void
    {
        $hub = $this->hub(self::ACCEPTED);
        $this->configure(['transport' => 'http']);

        $id = Trastienda::event('order.created', ['order_id' => 'A-1']);

        $request = $hub->onlyRequest();
        self::assertSame('tk_test_abcdefghijkl_secretsecretWXYZ', $request['headers']['x-api-key']);
        self::assertSame($id, json_decode($request['body'], true)['id']);
    }

    public function test_empty_data_is_still_an_object(): void
    {
        $agent = $this->agent(self::ACCEPTED);

        Trastienda::event('shop.opened', []);

        self::assertStringContainsString('"data":{}', $agent->onlyRequest()['body']);
    }

    public function test_dates_become_utc_with_milliseconds_wherever_they_are(): void
    {
        $agent = $this->agent(self::ACCEPTED);
        $at = new DateTimeImmutable('2026-11-24T09:30:00.250-03:00');

        Trastienda::event('order.created', ['order_id' => 'A-1', 'lines' => [['at' => $at]]], ['occurred_at' => $at]);

        $body = json_decode($agent->onlyRequest()['body'], true);
        self::assertSame('2026-11-24T12:30:00.250Z', $body['occurred_at']);
        self::assertSame('2026-11-24T12:30:00.250Z', $body['data']['lines'][0]['at']);
    }

    public function test_a_lost_connection_is_tried_once_more_with_the_same_bytes(): void
    {
        $agent = $this->agent(['drop' => true], self::ACCEPTED);

        $id = Trastienda::event('order.created', ['order_id' => 'A-1']);

        self::assertCount(2, $agent->requests());
        self::assertSame($agent->requests()[0]['body'], $agent->requests()[1]['body']);
        self::assertSame($id, json_decode($agent->requests()[1]['body'], true)['id']);
    }

    public function test_no_agent_means_straight_to_the_hub_with_the_same_id(): void
    {
        $hub = $this->hub(self::ACCEPTED);

        $id = Trastienda::event('order.created', ['order_id' => 'A-1'], ['id' => 'evt_019cafe00000700080000000000000a1']);

        self::assertSame('evt_019cafe00000700080000000000000a1', $id);
        self::assertSame($id, json_decode($hub->onlyRequest()['body'], true)['id']);
    }

    public function test_an_agent_that_hangs_costs_its_timeout_and_the_hub_gets_the_same_id(): void
    {
        $agent = $this->agent(['hang' => true]);
        $hub = $this->hub(self::ACCEPTED);
        $this->configure(['timeouts' => ['local' => 100]]);

        $id = Trastienda::event('order.created', ['order_id' => 'A-1']);

        self::assertSame($id, json_decode($agent->onlyRequest()['body'], true)['id']);
        self::assertSame($agent->onlyRequest()['body'], $hub->onlyRequest()['body']);
    }

    public function test_a_full_buffer_sends_the_call_to_the_hub(): void
    {
        $this->agent(['status' => 507, 'body' => ['code' => 'buffer_full']]);
        $hub = $this->hub(self::ACCEPTED);

        Trastienda::event('order.created', ['order_id' => 'A-1']);

        self::assertCount(1, $hub->requests());
    }

    public function test_with_fallback_throw_the_caller_decides(): void
    {
        $hub = $this->hub(self::ACCEPTED);
        $this->configure(['fallback' => 'throw']);

        try {
            Trastienda::event('order.created', ['order_id' => 'A-1']);
            self::fail('No exception.');
        } catch (AgentUnavailable) {
            self::assertSame([], $hub->requests());
        }
    }

    public function test_a_call_that_left_without_an_answer_tells_its_id(): void
    {
        $this->agent(['hang' => true]);
        $this->configure(['timeouts' => ['local' => 100]]);

        try {
            Trastienda::event('order.created', ['order_id' => 'A-1'], ['id' => 'evt_019cafe00000700080000000000000a1']);
            self::fail('No exception.');
        } catch (OutcomeUnknown $exception) {
            self::assertSame('evt_019cafe00000700080000000000000a1', $exception->id());
        }
    }

    public function test_a_mistyped_option_is_an_error_and_not_silence(): void
    {
        $agent = $this->agent(self::ACCEPTED);

        try {
            Trastienda::event('order.created', ['order_id' => 'A-1'], ['idempotencykey' => 'x']);
            self::fail('No exception.');
        } catch (InvalidRequest $exception) {
            self::assertStringContainsString('idempotencykey', $exception->getMessage());
            self::assertSame([], $agent->requests());
        }
    }

    public function test_disabled_drops_events_and_opens_nothing(): void
    {
        $agent = $this->agent(self::ACCEPTED);
        $this->configure(['enabled' => false]);

        self::assertStringStartsWith('evt_', Trastienda::event('order.created', ['order_id' => 'A-1']));
        self::assertSame([], $agent->requests());
    }

    public function test_auto_prefers_a_socket_to_the_hub_and_the_hub_to_nothing(): void
    {
        $hub = $this->hub(self::ACCEPTED);
        $this->configure(['transport' => 'auto']);

        if ($this->app->make(\Trastienda\Laravel\Extension::class)->isUsable()) {
            self::markTestSkipped('The native extension is loaded here, and auto prefers it.');
        }

        self::assertSame('http', $this->app->make(\Trastienda\Laravel\Contracts\Transport::class)->name());

        $agent = $this->agent(self::ACCEPTED);
        $this->configure(['transport' => 'auto']);
        Trastienda::event('order.created', ['order_id' => 'A-1']);

        self::assertInstanceOf(StubServer::class, $agent);
        self::assertCount(1, $agent->requests());
        self::assertCount(0, $hub->requests());
    }
}
