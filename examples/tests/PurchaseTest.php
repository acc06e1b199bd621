<?php

declare(strict_types=1);

namespace Trastienda\Examples\Tests;

use Illuminate\Contracts\Console\Kernel as Console;
use Illuminate\Contracts\Http\Kernel;
use Illuminate\Foundation\Application;
use Illuminate\Http\Request;
use PHPUnit\Framework\TestCase;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Tests\Support\RealStack;
use Trastienda\Laravel\Tests\Support\Workspace;

/**
 * A whole purchase, twice: in one process with nothing but `Trastienda::fake()`, and with
 * everything real.
 */
final class PurchaseTest extends TestCase
{
    private ?RealStack $stack = null;

    private ?RunningShop $shop = null;

    protected function tearDown(): void
    {
        $this->shop?->stop();
        $this->stack?->stop();
    }

    public function test_a_purchase_with_everything_faked(): void
    {
        $app = $this->application();
        $fake = Trastienda::fake()->preventStray();
        $fake = Trastienda::fake(['events', 'notifications', 'payments']);

        $order = $this->post($app, '/orders', ['product' => 'mate-calabaza', 'email' => 'ana@example.com', 'name' => 'Ana', 'phone' => '+5491112345678']);
        self::assertSame([], $order['problems']);
        Trastienda::assertEventSent('order.created', ['order_id' => $order['order_id'], 'total' => '18500.00']);
        Trastienda::assertNotified('ana@example.com', fn (array $mail): bool => $mail['template'] === 'order_confirmation');
        Trastienda::assertNotified(fn (array $notification): bool => $notification['channel'] === 'whatsapp');

        $payment = $this->post($app, "/orders/{$order['order_id']}/checkout");
        Trastienda::assertPaymentCreated($order['order_id'], fn (array $body): bool => $body['amount'] === '18500.00');
        self::assertNotNull($payment['checkout_url']);
        self::assertSame($payment['payment_id'], $this->post($app, "/orders/{$order['order_id']}/checkout")['payment_id']);

        $fake->pay($order['order_id']);
        self::assertSame(200, Trastienda::webhook('order.paid', ['order_id' => $order['order_id']])->deliver()->getStatusCode());
        self::assertSame('paid', $this->json($app, Request::create("/orders/{$order['order_id']}"))['status']);
    }

    public function test_a_purchase_with_everything_real(): void
    {
        if (($missing = RealStack::missing()) !== null) {
            self::markTestSkipped($missing);
        }

        $stack = $this->stack = RealStack::up();
        $shop = $this->shop = RunningShop::copyOf('shop-a', $stack->path('shop'), ['TRASTIENDA_SIMULATOR_URL' => $stack->simulator]);

        [$code, $output] = $shop->artisan('trastienda:install', '--no-interaction', "--key=$stack->key", "--url=$stack->hub", "--socket=$stack->socket", "--webhook-url={$shop->url()}/webhooks/trastienda");
        self::assertSame(0, $code, $output);
        $shop->serve();

        [$code, $output] = $shop->artisan('trastienda:doctor');
        self::assertSame(0, $code, $output);
        self::assertStringContainsString('contestó 200 a una entrega de prueba', $output);
        [$code, $output] = $shop->artisan('trastienda:test', '--mail=prueba@example.com');
        self::assertSame([0, 3], [$code, substr_count($output, '✓')], $output);

        $order = $shop->call('POST', '/orders', '{"product": "mate-calabaza", "email": "ana@example.com", "name": "Ana", "phone": "+54 9 11 2345-6789"}')[2];
        self::assertSame([], $order['problems']);
        self::assertStringStartsWith('https://wa.me/5491123456789', $order['whatsapp']['link']);
        self::assertStringContainsString($order['order_id'], $stack->mailTo('ana@example.com')['text']);

        $payment = $shop->call('POST', "/orders/{$order['order_id']}/checkout")[2];
        $preference = $stack->call('GET', "/v1/payments/{$payment['payment_id']}")[1]['provider_reference'];
        self::assertSame(201, RealStack::http('POST', "$stack->simulator/control/preferences/$preference/pay", [])[0]);
        RealStack::until('the order is paid in the shop', fn (): bool => $shop->call('GET', "/orders/{$order['order_id']}")[2]['status'] === 'paid');
        self::assertCount(1, array_filter($shop->call('GET', '/received')[2]['data'], fn (array $row): bool => $row['type'] === 'order.paid'));

        // And on a laptop, without a browser: what the shop started, and what is made up.
        $second = $shop->call('POST', '/orders', '{"product": "yerba-kilo", "email": "leo@example.com"}')[2];
        $started = $shop->call('POST', "/orders/{$second['order_id']}/checkout")[2];
        [$code, $output] = $shop->artisan('trastienda:trigger', 'payment.approved', $second['order_id']);
        self::assertSame(0, $code, $output);
        self::assertStringContainsString($started['payment_id'], $output);
        RealStack::until('the second order is paid', fn (): bool => $shop->call('GET', "/orders/{$second['order_id']}")[2]['status'] === 'paid');

        foreach (['payment.approved' => 'L-1', 'payment.rejected' => 'L-2', 'payment.refunded' => 'L-3', 'order.paid' => 'L-4'] as $what => $pretended) {
            [$code, $output] = $shop->artisan('trastienda:trigger', $what, $pretended);
            self::assertSame(0, $code, $output);
        }

        RealStack::until('the shop hears of all four', function () use ($shop): bool {
            $heard = array_map(fn (array $row): string => "{$row['type']} {$row['order_id']}", $shop->call('GET', '/received')[2]['data']);

            return array_diff(['order.paid L-1', 'order.paid L-3', 'order.paid L-4', 'payment.refunded L-3'], $heard) === [];
        });

        // On a laptop without an address the same events are pulled; what has come by both ways counts once.
        [$code, $output] = $shop->artisan('trastienda:webhooks', 'listen', '--once', '--events=order.paid');
        self::assertSame(0, $code, $output);
        [$code, $output] = $shop->artisan('trastienda:trigger', 'order.paid', 'L-5');
        self::assertSame(0, $code, $output);
        [$code, $output] = $shop->artisan('trastienda:webhooks', 'listen', '--once', '--events=order.paid');
        self::assertSame([0, 1], [$code, substr_count($output, '200  order.paid')], $output);
        RealStack::until('the shop has each once', fn (): bool => \count(array_filter($shop->call('GET', '/received')[2]['data'], fn (array $row): bool => $row['type'] === 'order.paid')) === 6);
    }

    private function application(): Application
    {
        $storage = Workspace::make()->path('purchase-'.bin2hex(random_bytes(4)));

        foreach (['SHOP_STORAGE' => $storage, 'SHOP_DB' => '', 'APP_KEY' => 'base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=', 'APP_ENV' => 'testing'] as $name => $value) {
            $value === '' ? putenv($name) : putenv("$name=$value");
            $_ENV[$name] = $_SERVER[$name] = $value;

            if ($value === '') {
                unset($_ENV[$name], $_SERVER[$name]);
            }
        }

        $app = require dirname(__DIR__).'/shop-a/bootstrap/app.php';
        $app->make(Console::class)->bootstrap();
        $app->make(Console::class)->call('migrate', ['--force' => true]);

        return $app;
    }

    /**
     * @param  array<string, string>  $body
     * @return array<string, mixed>
     */
    private function post(Application $app, string $path, array $body = []): array
    {
        return $this->json($app, Request::create($path, 'POST', [], [], [], ['CONTENT_TYPE' => 'application/json', 'HTTP_ACCEPT' => 'application/json'], (string) json_encode((object) $body)));
    }

    /**
     * @return array<string, mixed>
     */
    private function json(Application $app, Request $request): array
    {
        return json_decode((string) $app->make(Kernel::class)->handle($request)->getContent(), true, 512, JSON_THROW_ON_ERROR);
    }
}
