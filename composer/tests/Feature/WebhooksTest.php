<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Foundation\Http\Middleware\VerifyCsrfToken;
use Illuminate\Session\Middleware\StartSession;
use Illuminate\Support\Facades\Artisan;
use Illuminate\Support\Facades\Event;
use Illuminate\Support\Facades\Route;
use Illuminate\Testing\TestResponse;
use RuntimeException;
use Trastienda\Laravel\Tests\TestCase;
use Trastienda\Laravel\Webhooks\InvalidWebhookSignature;
use Trastienda\Laravel\Webhooks\WebhookReceived;

final class WebhooksTest extends TestCase
{
    private const SECRET = 'whsec_dHJhc3RpZW5kYS10ZXN0LXZlY3Rvci1zZWNyZXQtMDE=';

    private const ID = 'evt_019cafe00000700080000000000000a1';

    /** @var list<WebhookReceived> */
    private array $received = [];

    protected function setUp(): void
    {
        parent::setUp();

        self::assertSame(0, Artisan::call('migrate'));
        $this->configure(['webhooks' => ['secret' => self::SECRET] + $this->app['config']->get('trastienda.webhooks')]);
        // As in a shop's routes/web.php, with its session and its CSRF guard.
        Route::middleware([StartSession::class, VerifyCsrfToken::class])->group(fn () => Route::trastiendaWebhooks('/webhooks/trastienda'));
        Event::listen(WebhookReceived::class, function (WebhookReceived $webhook): void {
            $this->received[] = $webhook;
        });
    }

    public function test_a_signed_event_reaches_the_listeners(): void
    {
        $named = [];
        Event::listen('trastienda.order.*', function (string $name, array $payload) use (&$named): void {
            $named[] = [$name, $payload[0]->data['order_id']];
        });

        $this->deliver()->assertOk()->assertExactJson(['received' => true, 'duplicate' => false]);

        self::assertCount(1, $this->received);
        self::assertSame(self::ID, $this->received[0]->id);
        self::assertSame('order.paid', $this->received[0]->type);
        self::assertSame('prj_019cafe00000700080000000000000b2', $this->received[0]->project);
        self::assertSame('2026-11-24T00:00:00.000000Z', $this->received[0]->timestamp->format('Y-m-d\TH:i:s.u\Z'));
        self::assertSame([['trastienda.order.paid', 'A-1042']], $named);
    }

    public function test_the_csrf_guard_does_not_stand_in_the_way(): void
    {
        // Laravel's guard lets everything through while unit tests run; the route itself shows it is gone.
        $route = collect(Route::getRoutes()->getRoutes())->first(fn ($route): bool => $route->uri() === 'webhooks/trastienda');

        self::assertNotContains(VerifyCsrfToken::class, Route::gatherRouteMiddleware($route));
        self::assertContains(StartSession::class, Route::gatherRouteMiddleware($route));
    }

    public function test_the_same_webhook_again_is_answered_and_ignored(): void
    {
        $this->deliver()->assertOk();
        $this->deliver()->assertOk()->assertExactJson(['received' => true, 'duplicate' => true]);

        self::assertCount(1, $this->received);
    }

    public function test_a_bad_signature_is_401_and_an_event(): void
    {
        Event::fake([InvalidWebhookSignature::class]);

        $this->deliver(secret: 'whsec_'.base64_encode('somebody else'))->assertUnauthorized()->assertJson(['code' => 'invalid_signature']);

        self::assertSame([], $this->received);
        Event::assertDispatched(fn (InvalidWebhookSignature $event): bool => $event->reason === 'No signature matches.' && $event->webhookId === self::ID);
    }

    public function test_no_headers_at_all_is_401(): void
    {
        $this->postJson('/webhooks/trastienda', ['type' => 'order.paid', 'data' => []])->assertUnauthorized();
    }

    public function test_a_recording_played_back_later_is_401(): void
    {
        $this->deliver(at: time() - 301)->assertUnauthorized();
        $this->deliver(at: time() - 290)->assertOk();
    }

    public function test_a_listener_of_bad_signatures_that_breaks_does_not_change_the_answer(): void
    {
        Event::listen(InvalidWebhookSignature::class, fn () => throw new RuntimeException('pager is down'));

        $this->deliver(secret: 'whsec_'.base64_encode('somebody else'))->assertUnauthorized();
    }

    public function test_while_a_secret_is_rotated_old_and_new_are_taken(): void
    {
        $new = 'whsec_'.base64_encode('the-next-secret');
        $this->configure(['webhooks.secret' => self::SECRET.', '.$new]);

        $this->deliver(id: self::ID)->assertOk();
        $this->deliver(id: 'evt_019cafe00000700080000000000000a2', secret: $new)->assertOk();

        self::assertCount(2, $this->received);
    }

    public function test_a_listener_that_fails_leaves_nothing_behind_and_the_retry_is_handled(): void
    {
        $fail = true;
        Event::listen('trastienda.order.paid', function () use (&$fail): void {
            $this->app['db']->table('trastienda_webhooks')->insert(['webhook_id' => 'the-listeners-own-row', 'type' => 'x', 'received_at' => '2026-11-24 00:00:00']);

            if ($fail) {
                throw new RuntimeException('no stock table today');
            }
        });

        $this->deliver()->assertStatus(500);
        self::assertSame(0, $this->app['db']->table('trastienda_webhooks')->count());

        $fail = false;
        $this->deliver()->assertOk()->assertExactJson(['received' => true, 'duplicate' => false]);
        self::assertSame(2, $this->app['db']->table('trastienda_webhooks')->count());
    }

    public function test_a_replay_is_a_duplicate_unless_the_shop_wants_it(): void
    {
        $this->deliver()->assertOk();
        $this->deliver(replay: 'whd_1')->assertExactJson(['received' => true, 'duplicate' => true]);

        $this->configure(['webhooks.handle_replays' => true]);
        $this->deliver(replay: 'whd_1')->assertExactJson(['received' => true, 'duplicate' => false]);
        $this->deliver(replay: 'whd_1')->assertExactJson(['received' => true, 'duplicate' => true]);

        self::assertCount(2, $this->received);
        self::assertSame('whd_1', $this->received[1]->replay);
    }

    public function test_a_signed_body_that_is_no_event_is_400(): void
    {
        $this->deliver(body: '"hola"')->assertStatus(400);
        $this->deliver(body: '{"type":"order.paid"}')->assertStatus(400);
    }

    public function test_without_a_secret_nothing_is_believed(): void
    {
        $this->configure(['webhooks.secret' => null]);

        $this->deliver()->assertStatus(500);
        self::assertSame([], $this->received);
    }

    private function deliver(?string $body = null, string $id = self::ID, string $secret = self::SECRET, ?int $at = null, ?string $replay = null): TestResponse
    {
        $body ??= '{"id":"'.$id.'","type":"order.paid","timestamp":"2026-11-24T00:00:00.000Z","project":"prj_019cafe00000700080000000000000b2","data":{"order_id":"A-1042","total":"1500.00"}}';
        $at ??= time();
        $signature = base64_encode(hash_hmac('sha256', "$id.$at.$body", (string) base64_decode(substr($secret, 6), true), true));

        return $this->call('POST', '/webhooks/trastienda', [], [], [], array_filter([
            'CONTENT_TYPE' => 'application/json',
            'HTTP_WEBHOOK_ID' => $id,
            'HTTP_WEBHOOK_TIMESTAMP' => (string) $at,
            'HTTP_WEBHOOK_SIGNATURE' => "v1,$signature",
            'HTTP_TRASTIENDA_REPLAY' => $replay,
        ]), $body);
    }
}
