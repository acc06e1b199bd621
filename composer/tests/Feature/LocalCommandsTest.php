<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Support\Facades\Artisan;
use Illuminate\Support\Facades\Event;
use Illuminate\Support\Facades\Route;
use Trastienda\Laravel\Tests\TestCase;
use Trastienda\Laravel\Webhooks\WebhookReceived;

final class LocalCommandsTest extends TestCase
{
    /** @var list<array{string, string|null}> */
    private array $received = [];

    protected function setUp(): void
    {
        parent::setUp();

        Artisan::call('migrate');
        Route::trastiendaWebhooks();
        Event::listen(WebhookReceived::class, function (WebhookReceived $webhook): void {
            $this->received[] = [$webhook->type, $webhook->data['order_id'] ?? null];
        });
    }

    public function test_without_hub_or_simulator_the_webhooks_of_a_payment_still_happen(): void
    {
        foreach (['payment.approved', 'payment.rejected', 'payment.refunded', 'order.paid', 'order.created'] as $what) {
            self::assertSame(0, Artisan::call('trastienda:trigger', ['what' => $what, 'order' => 'A-1', '--local' => true]), Artisan::output());
        }

        self::assertSame([['payment.paid', 'A-1'], ['order.paid', 'A-1'], ['payment.failed', 'A-1'], ['payment.refunded', 'A-1'], ['order.paid', 'A-1'], ['order.created', 'A-1']], $this->received);
        self::assertSame(1, Artisan::call('trastienda:trigger', ['what' => 'payment.eaten', '--local' => true]));
    }

    public function test_without_a_hub_it_says_how_to_go_on(): void
    {
        self::assertSame(1, Artisan::call('trastienda:trigger', ['what' => 'payment.approved']));
        self::assertStringContainsString('--local', Artisan::output());
    }

    public function test_listening_hands_the_hubs_new_events_to_the_shops_own_route_once(): void
    {
        $event = fn (string $id, string $type, ?string $duplicateOf = null): array => ['id' => $id, 'type' => $type, 'status' => 'accepted', 'data' => ['order_id' => 'A-1'], 'duplicate_of' => $duplicateOf];
        $agent = $this->agent(['status' => 200, 'body' => ['data' => [$event('evt_4', 'order.paid', 'evt_3'), $event('evt_3', 'order.paid'), $event('evt_2', 'stock.low'), $event('evt_1', 'order.created')]]]);

        self::assertSame(0, Artisan::call('trastienda:webhooks', ['do' => 'listen', '--once' => true, '--events' => ['order.*'], '--since' => '2026-01-01T00:00:00Z']));
        self::assertSame([['order.created', 'A-1'], ['order.paid', 'A-1']], $this->received);
        self::assertStringContainsString('created_after=2026-01-01T00%3A00%3A00.000Z', $agent->requests()[0]['path']);

        Artisan::call('trastienda:webhooks', ['do' => 'listen', '--once' => true, '--events' => ['order.*'], '--since' => '2026-01-01T00:00:00Z']);
        self::assertCount(2, $this->received);
    }

    public function test_a_test_sends_one_of_each_and_waits_for_it(): void
    {
        $this->agent(
            ['status' => 202, 'body' => ['id' => '{id}']],
            ['status' => 404, 'body' => ['code' => 'not_found']],
            ['status' => 200, 'body' => ['id' => 'evt_1']],
            ['status' => 202, 'body' => ['id' => '{id}', 'status' => 'pending']],
            ['status' => 200, 'body' => ['status' => 'pending']],
            ['status' => 200, 'body' => ['status' => 'sent']],
            ['status' => 200, 'body' => ['data' => [['id' => 'whe_1', 'url' => 'http://localhost/webhooks/trastienda', 'enabled' => true]]]],
            ['status' => 202, 'body' => ['event' => 'evt_1', 'delivery' => 'whd_1']],
            ['status' => 200, 'body' => ['id' => 'whd_1', 'status' => 'sent', 'attempt_count' => 1]],
        );

        $code = Artisan::call('trastienda:test', ['--mail' => 'ana@example.com']);
        $output = Artisan::output();
        self::assertSame([0, 3], [$code, substr_count($output, '✓')], $output);
    }

    public function test_a_test_fails_when_something_does_not_arrive(): void
    {
        $this->agent(['status' => 202, 'body' => ['id' => '{id}']], ['status' => 404, 'body' => ['code' => 'not_found']]);

        self::assertSame(1, Artisan::call('trastienda:test', ['--seconds' => 1]));
        self::assertStringContainsString('no llegó al hub', Artisan::output());
    }
}
