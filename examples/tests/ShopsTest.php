<?php

declare(strict_types=1);

namespace Trastienda\Examples\Tests;

use PHPUnit\Framework\Attributes\DataProvider;
use PHPUnit\Framework\TestCase;
use Trastienda\Laravel\Tests\Support\StubServer;
use Trastienda\Laravel\Tests\Support\Workspace;

/**
 * Both shops, each as a process of its own, against a stub agent on a real socket.
 */
final class ShopsTest extends TestCase
{
    private const ACCEPTED = ['status' => 202, 'body' => ['id' => '{id}', 'status' => 'pending']];

    private ?RunningShop $shop = null;

    private ?StubServer $agent = null;

    protected function tearDown(): void
    {
        $this->shop?->stop();
        $this->agent?->stop();
    }

    /**
     * @return array<string, array{string, string, string}>
     */
    public static function shops(): array
    {
        return [
            'shop-a' => ['shop-a', 'mate-calabaza', 'Mate de calabaza con virola'],
            'shop-b' => ['shop-b', 'rayuela', 'Rayuela, Julio Cortázar'],
        ];
    }

    public function test_the_shops_differ_in_key_address_and_goods_and_nothing_else(): void
    {
        $files = fn (string $shop): array => array_filter(
            array_map(fn (\SplFileInfo $file): string => substr($file->getPathname(), strlen(dirname(__DIR__)."/$shop")), iterator_to_array(
                new \RecursiveIteratorIterator(new \RecursiveDirectoryIterator(dirname(__DIR__)."/$shop", \FilesystemIterator::SKIP_DOTS)),
                false,
            )),
            fn (string $path): bool => ! str_starts_with($path, '/storage/') && $path !== '/.env',
        );

        $a = $files('shop-a');
        $b = $files('shop-b');
        sort($a);
        sort($b);
        self::assertSame($a, $b);

        $different = array_values(array_filter($a, fn (string $path): bool => sha1_file(dirname(__DIR__)."/shop-a$path") !== sha1_file(dirname(__DIR__)."/shop-b$path")));
        self::assertSame(['/.env.example', '/config/shop.php'], $different);
    }

    /**
     * @dataProvider shops
     */
    #[DataProvider('shops')]
    public function test_an_order_is_sold_told_and_paid(string $name, string $product, string $title): void
    {
        $this->open($name,
            self::ACCEPTED,
            self::ACCEPTED,
            ['status' => 202, 'body' => ['id' => '{id}', 'whatsapp' => ['link' => 'https://wa.me/5491112345678', 'open_url' => 'https://hub/w/1']]],
            ['status' => 201, 'body' => ['id' => '{id}', 'status' => 'pending', 'checkout_url' => 'https://pay.example/1']],
        );

        [$status, $page] = $this->shop->call('GET', '/');
        self::assertSame(200, $status);
        self::assertStringContainsString($title, $page);

        [$status, , $order] = $this->shop->call('POST', '/orders', json_encode(['product' => $product, 'email' => 'ana@example.com', 'name' => 'Ana', 'phone' => '+54 9 11 1234-5678']));
        self::assertSame(201, $status);
        self::assertSame([], $order['problems']);
        self::assertSame('https://wa.me/5491112345678', $order['whatsapp']['link']);

        [$status, , $payment] = $this->shop->call('POST', "/orders/{$order['order_id']}/checkout");
        self::assertSame([200, 'https://pay.example/1'], [$status, $payment['checkout_url']]);

        [$event, $mail, $whatsapp, $checkout] = array_map(fn (array $request): array => json_decode($request['body'], true), $this->agent->requests());
        self::assertSame([$order['event_id'], 'order.created', $order['order_id']], [$event['id'], $event['type'], $event['data']['order_id']]);
        self::assertSame([$order['notification_id'], 'order_confirmation', 'Ana'], [$mail['id'], $mail['template'], $mail['data']['customer_name']]);
        self::assertSame(['whatsapp', 'wait=5'], [$whatsapp['channel'], $this->agent->requests()[2]['headers']['prefer']]);
        self::assertSame([$payment['payment_id'], 'checkout', $event['data']['total']], [$checkout['id'], $checkout['method'], $checkout['amount']]);

        self::assertSame(200, $this->shop->deliver('evt_paid', 'order.paid', ['order_id' => $order['order_id']])[0]);
        self::assertSame('paid', $this->shop->call('GET', "/orders/{$order['order_id']}")[2]['status']);
    }

    public function test_webhooks_are_verified_recorded_and_never_twice(): void
    {
        $this->open('shop-b', self::ACCEPTED);

        self::assertSame(401, $this->shop->deliver('evt_0', 'order.created', ['order_id' => 'MATE-1'], 'whsec_'.base64_encode('a stranger'))[0]);
        self::assertSame(200, $this->shop->deliver('evt_1', 'order.created', ['order_id' => 'MATE-1'])[0]);
        self::assertTrue($this->shop->deliver('evt_1', 'order.created', ['order_id' => 'MATE-1'])[2]['duplicate']);

        $received = $this->shop->call('GET', '/received')[2]['data'];
        self::assertSame([['evt_1', 'order.created', 'MATE-1', 'prj_other']], array_map(fn (array $row): array => [$row['id'], $row['type'], $row['order_id'], $row['project']], $received));
    }

    public function test_the_counter_sells_from_the_shell(): void
    {
        $this->open('shop-a', self::ACCEPTED);

        [$code, $output] = $this->shop->artisan('shop:order', 'yerba-kilo', 'ana@example.com');

        $order = json_decode($output, true, 512, JSON_THROW_ON_ERROR);
        self::assertSame(0, $code);
        self::assertSame($order['event_id'], json_decode($this->agent->requests()[0]['body'], true)['id']);
        self::assertSame(1, $this->shop->artisan('shop:order', 'nada', 'ana@example.com')[0]);
    }

    public function test_with_nobody_there_the_sale_is_kept_and_the_answer_says_so(): void
    {
        $this->shop = RunningShop::beside('shop-a', Workspace::make()->path('nobody.sock'));
        $this->shop->artisan('migrate', '--force');
        $this->shop->serve();

        [$status, , $order] = $this->shop->call('POST', '/orders', '{"product":"yerba-kilo","email":"ana@example.com"}');
        self::assertSame([201, 2], [$status, count($order['problems'])]);
        self::assertSame('pending', $this->shop->call('GET', "/orders/{$order['order_id']}")[2]['status']);
        self::assertSame(503, $this->shop->call('POST', "/orders/{$order['order_id']}/checkout")[0]);
    }

    public function test_what_cannot_be_sold_is_refused_in_spanish(): void
    {
        $this->open('shop-a', self::ACCEPTED);

        [$status, , $answer] = $this->shop->call('POST', '/orders', '{"product":"rayuela"}');

        self::assertSame(422, $status);
        self::assertSame([['No vendemos ese producto.'], ['Falta este dato.']], [$answer['errors']['product'], $answer['errors']['email']]);
        self::assertSame([], $this->agent->requests());
    }

    /**
     * @param  array<string, mixed>  ...$answers
     */
    private function open(string $name, array ...$answers): void
    {
        $socket = Workspace::make()->path('agent-'.bin2hex(random_bytes(4)).'.sock');
        $this->agent = StubServer::start("unix://$socket", $answers);
        $this->shop = RunningShop::beside($name, $socket);
        self::assertSame(0, $this->shop->artisan('migrate', '--force')[0]);
        $this->shop->serve();
    }
}
