<?php

declare(strict_types=1);

namespace Trastienda\Examples\Tests;

use PHPUnit\Framework\TestCase;
use Trastienda\Laravel\Tests\Support\RealStack;

/**
 * The shop that does everything itself works: what it is compared by is not a straw man.
 */
final class AloneTest extends TestCase
{
    public function test_a_purchase_without_a_back_room(): void
    {
        if (($missing = RealStack::missing()) !== null) {
            self::markTestSkipped($missing);
        }

        $stack = RealStack::up();
        $shop = null;

        try {
            [$smtpHost, $smtpPort] = explode(':', $stack->smtp);
            $seller = $stack->seller;
            $secret = 'whsec_'.base64_encode(random_bytes(24));
            $shop = RunningShop::copyOf('shop-alone', $stack->path('alone'), ['MERCADOPAGO_URL' => $stack->simulator, 'MERCADOPAGO_ACCESS_TOKEN' => $seller['access_token'], 'MERCADOPAGO_WEBHOOK_SECRET' => $seller['webhook_secret'], 'MAIL_HOST' => $smtpHost, 'MAIL_PORT' => $smtpPort, 'WEBHOOK_SECRET' => $secret], fn (string $url): array => ['WEBHOOK_ENDPOINTS' => "$url/webhooks/shops|$secret"]);
            self::assertSame(0, $shop->artisan('migrate', '--force')[0]);
            $shop->serve();

            $order = $shop->call('POST', '/orders', '{"product": "mate-calabaza", "email": "ana@example.com", "name": "Ana", "phone": "011 15 2345-6789"}')[2];
            self::assertSame([], $order['problems']);
            self::assertStringStartsWith('https://wa.me/5491123456789', $order['whatsapp']['link']);
            $this->work($shop);
            self::assertStringContainsString($order['order_id'], $stack->mailTo('ana@example.com')['text']);

            $payment = $shop->call('POST', "/orders/{$order['order_id']}/checkout")[2];
            self::assertSame($payment['payment_id'], $shop->call('POST', "/orders/{$order['order_id']}/checkout")[2]['payment_id']);
            parse_str((string) parse_url($payment['checkout_url'], PHP_URL_QUERY), $query);
            RealStack::http('POST', "$stack->simulator/control/preferences/{$query['pref_id']}/pay", ['status' => 'rejected']);
            self::assertSame(201, RealStack::http('POST', "$stack->simulator/control/preferences/{$query['pref_id']}/pay", [])[0]);

            RealStack::until('the order is paid', function () use ($shop, $order): bool {
                $this->work($shop);

                return $shop->call('GET', "/orders/{$order['order_id']}")[2]['status'] === 'paid';
            });
            $this->work($shop);
            self::assertSame(['order.created', 'order.paid'], array_column($shop->call('GET', '/received')[2]['data'], 'type'));
            self::assertSame(0, $shop->artisan('shop:reconcile', '--older=0')[0]);
            self::assertSame(401, $shop->call('POST', '/webhooks/mercadopago?data.id=1&type=payment', '{}')[0]);
            self::assertSame(401, $shop->call('POST', '/webhooks/shops', '{}')[0]);
        } finally {
            $shop?->stop();
            $stack->stop();
        }
    }

    private function work(RunningShop $shop): void
    {
        [$code, $output] = $shop->artisan('queue:work', '--stop-when-empty');
        self::assertSame(0, $code, $output);
    }
}
