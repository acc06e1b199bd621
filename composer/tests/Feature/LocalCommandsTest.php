<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Support\Facades\Artisan;
use Illuminate\Support\Facades\Event;
use Illuminate\Support\Facades\Route;
use Trastienda\Laravel\Tests\Support\Workspace;
use Trastienda\Laravel\Tests\TestCase;
use Trastienda\Laravel\Webhooks\SignedWebhook;
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

    public function test_listening_pulls_the_deliveries_as_an_agent_does_and_reports_what_the_route_said(): void
    {
        $this->configure(['webhooks.secret' => 'whsec_'.base64_encode(str_repeat('k', 32))]);
        $delivery = function (string $lease, SignedWebhook $webhook, string $path = '/webhooks/trastienda'): array {
            return ['id' => 'whd_1', 'lease' => $lease, 'lease_seconds' => 30, 'path' => $path, 'headers' => $webhook->headers(), 'body' => $webhook->body()];
        };
        $created = SignedWebhook::make('order.created', ['order_id' => 'A-1']);
        $agent = $this->agent(
            ['status' => 200, 'body' => ['data' => [['id' => 'whe_1', 'url' => 'agent:///webhooks/trastienda']]]],
            ['status' => 200, 'body' => ['deliveries' => [
                $delivery('1-a', $created),
                $delivery('1-b', SignedWebhook::make('order.paid', ['order_id' => 'A-1'])->signedWith('whsec_'.base64_encode(str_repeat('x', 32)))),
                $delivery('1-c', $created, '/admin'),
                $delivery('1-d', $created),
            ]]],
            ['status' => 200, 'body' => ['results' => ['taken']]],
        );

        self::assertSame(0, Artisan::call('trastienda:webhooks', ['do' => 'listen', '--once' => true]), Artisan::output());
        // The one that comes twice is handled once.
        self::assertSame([['order.created', 'A-1']], $this->received);
        $requests = $agent->requests();
        self::assertSame('/v1/agent/poll', $requests[1]['path']);
        $results = array_map(fn (array $request): array => json_decode($request['body'], true)['results'][0], array_slice($requests, 2));
        self::assertSame(['1-a', '1-b', '1-c', '1-d'], array_column($results, 'lease'));
        self::assertSame([200, 401, null, 200], array_map(fn (array $result): ?int => $result['response_code'] ?? null, $results));
        self::assertSame('refused_address', $results[2]['error_class']);
    }

    public function test_listening_makes_the_endpoint_that_it_needs_and_can_begin_earlier(): void
    {
        $shop = Workspace::make()->path('listen-'.bin2hex(random_bytes(4)));
        mkdir($shop, 0700, true);
        file_put_contents("$shop/.env", '');
        $this->app->useEnvironmentPath($shop);
        $this->configure(['webhooks.secret' => null]);
        $endpoint = ['id' => 'whe_1', 'url' => 'agent:///webhooks/trastienda'];
        $agent = $this->agent(
            ['status' => 200, 'body' => ['data' => []]],
            ['status' => 200, 'body' => ['data' => []]],
            ['status' => 201, 'body' => $endpoint + ['secret' => 'whsec_c2VjcmV0']],
            ['status' => 200, 'body' => ['data' => [$endpoint]]],
            ['status' => 202, 'body' => ['queued' => 0]],
            ['status' => 200, 'body' => ['deliveries' => []]],
        );

        self::assertSame(0, Artisan::call('trastienda:webhooks', ['do' => 'listen', '--once' => true, '--events' => ['order.*'], '--since' => '2026-01-01T00:00:00Z']), Artisan::output());
        $requests = $agent->requests();
        self::assertSame(['url' => 'agent:///webhooks/trastienda', 'events' => ['order.*']], array_intersect_key(json_decode($requests[2]['body'], true), ['url' => 1, 'events' => 1]));
        self::assertSame(['since' => '2026-01-01T00:00:00.000Z', 'status' => 'all'], json_decode($requests[4]['body'], true));
        self::assertStringContainsString('TRASTIENDA_WEBHOOK_SECRET=whsec_c2VjcmV0', (string) file_get_contents("$shop/.env"));
    }

    public function test_listening_does_not_take_a_live_shops_webhooks_by_mistake(): void
    {
        $this->configure(['key' => 'tk_live_0123456789Ab_x']);

        self::assertSame(1, Artisan::call('trastienda:webhooks', ['do' => 'listen', '--once' => true]));
        self::assertStringContainsString('--live', Artisan::output());
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
