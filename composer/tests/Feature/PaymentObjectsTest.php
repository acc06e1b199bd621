<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Database\Eloquent\Model;
use Illuminate\Support\Facades\View;
use LogicException;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Payments\HasPayments;
use Trastienda\Laravel\Payments\Payment;
use Trastienda\Laravel\Payments\Payments;
use Trastienda\Laravel\Payments\PaymentStatus;
use Trastienda\Laravel\Payments\QrCode;
use Trastienda\Laravel\Tests\TestCase;

final class PaymentObjectsTest extends TestCase
{
    public function test_a_payment_is_typed_and_still_the_array_it_came_as(): void
    {
        $payment = Payment::fromArray([
            'id' => 'pay_1', 'status' => 'paid', 'detail' => 'partially_refunded', 'amount' => '10.00', 'amount_refunded' => '4.00', 'checkout_url' => 'https://x', 'novelty' => true,
            'refunds' => [['id' => 'rfd_1', 'status' => 'done', 'amount' => '4.00']], 'timeline' => [['kind' => 'status']],
        ]);

        self::assertSame([PaymentStatus::Paid, true, false, 'https://x'], [$payment->status, $payment->isPaid(), $payment->isRefunded(), $payment->checkoutUrl]);
        self::assertSame(['paid', 'https://x', true, false], [$payment['status'], $payment['checkout_url'], $payment['novelty'], isset($payment['qr_code'])]);
        self::assertSame('4.00', $payment->refunds[0]->amount);
        self::assertSame('paid', json_decode((string) json_encode($payment), true)['status']);
        self::assertSame('?', $payment['nothing'] ?? '?');

        $this->expectException(LogicException::class);
        $payment['status'] = 'pending';
    }

    public function test_a_status_of_a_newer_hub_is_neither_paid_nor_failed(): void
    {
        self::assertTrue(Payment::fromArray(['id' => 'pay_1', 'status' => 'contemplating'])->isPending());
    }

    public function test_an_order_has_payments(): void
    {
        $fake = Trastienda::fake();
        $order = (new PaidOrder())->forceFill(['id' => 7, 'total' => '10.00', 'email' => 'ana@example.com']);

        $payment = $order->createPayment(['method' => 'pix', 'currency' => 'BRL']);
        self::assertSame($payment->id, $order->createPayment(['method' => 'pix', 'currency' => 'BRL'])->id);

        Trastienda::assertPaymentCreated(7, fn (array $body): bool => $body['amount'] === '10.00' && $body['payer'] === ['email' => 'ana@example.com'] && $body['description'] === 'Pedido 7' && $body['method'] === 'pix');
        self::assertNull($order->paidPayment());
        self::assertNull($order->refundPayment());

        $fake->pay('7');
        self::assertSame($payment->id, $order->paidPayment()?->id);
        self::assertSame('2.50', $order->refundPayment('2.50')?->amount);
        self::assertSame($payment->id, $order->latestPayment()?->id);
        self::assertSame('ARS', (new PaidOrder())->forceFill(['id' => 8, 'total' => 5.5])->createPayment()->currency);
        Trastienda::assertPaymentCreated(8, fn (array $body): bool => $body['amount'] === '5.50');
    }

    public function test_the_facade_and_payments_take_macros(): void
    {
        Trastienda::fake();
        \Trastienda\Laravel\Trastienda::macro('sold', fn (string $order): string => $this->event('order.created', ['order_id' => $order]));
        Payments::macro('isPaid', fn (string $id): bool => $this->get($id)->isPaid());

        self::assertStringStartsWith('evt_', Trastienda::sold('A-1'));
        Trastienda::assertEventSent('order.created', ['order_id' => 'A-1']);
        self::assertFalse(Trastienda::payments()->isPaid((new PaidOrder())->forceFill(['id' => 7, 'total' => '1.00'])->createPayment()->id));
    }

    public function test_the_pix_component_shows_a_code_to_scan_and_to_copy(): void
    {
        $code = '00020126580014br.gov.bcb.pix0136a629532e-7693-4846-852d-1bbff817b5a8520400005303986540510.005802BR5904Loja6008Curitiba62070503***6304ABCD';
        $html = $this->render('<x-trastienda::pix :payment="$payment" class="mine" />', ['payment' => ['id' => 'pay_1', 'status' => 'pending', 'qr_code' => $code]]);

        self::assertStringContainsString('value="'.$code.'"', $html);
        self::assertStringContainsString(QrCode::svg($code, 'Pix'), $html);
        self::assertStringContainsString('class="trastienda-pix mine"', $html);
        self::assertStringNotContainsString('<svg', $this->render('<x-trastienda::pix :payment="$payment" />', ['payment' => ['id' => 'pay_1', 'status' => 'paid', 'qr_code' => $code]]));
    }

    public function test_the_checkout_button_leads_to_the_provider_until_it_is_paid(): void
    {
        $pending = ['id' => 'pay_1', 'status' => 'pending', 'checkout_url' => 'https://mp.example/?a=1&b=2'];

        $html = $this->render('<x-trastienda::checkout-button :payment="$payment">Pagar <b>ya</b></x-trastienda::checkout-button>', ['payment' => Payment::fromArray($pending)]);
        self::assertStringContainsString('href="https://mp.example/?a=1&amp;b=2"', $html);
        self::assertStringContainsString('Pagar <b>ya</b></a>', $html);
        self::assertStringContainsString('Pagar con Mercado Pago</a>', $this->render('<x-trastienda::checkout-button :payment="$payment" />', ['payment' => $pending]));
        self::assertStringNotContainsString('href', $this->render('<x-trastienda::checkout-button :payment="$payment" />', ['payment' => ['status' => 'paid'] + $pending]));
    }

    /**
     * @param  array<string, mixed>  $data
     */
    private function render(string $template, array $data): string
    {
        $file = $this->app->storagePath().'/'.hash('sha256', $template).'.blade.php';
        file_put_contents($file, $template);

        return View::file($file, $data)->render();
    }
}

final class PaidOrder extends Model
{
    use HasPayments;
}
