<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Console;

use Illuminate\Console\Command;
use Throwable;
use Trastienda\Laravel\Doctor\Patience;
use Trastienda\Laravel\Payments\Payment;
use Trastienda\Laravel\Payments\Payments;
use Trastienda\Laravel\Testing\Payloads;
use Trastienda\Laravel\Trastienda;
use Trastienda\Laravel\Webhooks\Door;
use Trastienda\Laravel\Webhooks\SignedWebhook;

/**
 * Makes a payment happen on a laptop: a real one at the hub, which Mercado Pago's simulator
 * approves, rejects or refunds; or, with `--local`, only the webhook that would come of it.
 */
final class TriggerCommand extends Command
{
    private const WHAT = ['payment.approved', 'payment.rejected', 'payment.refunded', 'order.paid', 'order.created'];

    protected $signature = 'trastienda:trigger
        {what : payment.approved, payment.rejected, payment.refunded, order.paid u order.created}
        {order? : El pedido; por omisión uno inventado}
        {--amount=1500.00 : El importe}
        {--currency= : La moneda; por omisión la de config/trastienda.php}
        {--attempt=1 : El intento de pago del pedido}
        {--local : Sin hub ni simulador: solo el webhook, firmado, a esta aplicación}
        {--seconds=20 : Cuánto esperar}';

    protected $description = 'Hace que un pago pase (aprobado, rechazado, devuelto) en una laptop, sin cuenta y sin túnel';

    public function handle(Trastienda $trastienda, Simulator $simulator): int
    {
        $what = (string) $this->argument('what');

        if (! in_array($what, self::WHAT, true)) {
            $this->error('Puede ser: '.implode(', ', self::WHAT).'.');

            return self::FAILURE;
        }

        $given = $this->argument('order');
        $order = is_string($given) ? $given : 'PRUEBA-'.strtoupper(bin2hex(random_bytes(3)));

        if ($this->option('local')) {
            return $this->local($what, $order);
        }

        try {
            return $what === 'order.created'
                ? $this->said('Evento '.$trastienda->event($what, Payloads::for($what, ['order_id' => $order, 'total' => $this->option('amount')])))
                : $this->payment($what, $order, $trastienda->payments(), $simulator);
        } catch (Throwable $exception) {
            $this->error($exception->getMessage());
            $this->line('Sin hub o simulador: agregá --local para recibir solo el webhook.');

            return self::FAILURE;
        }
    }

    private function payment(string $what, string $order, Payments $payments, Simulator $simulator): int
    {
        // What the shop has started is what the customer pays.
        $payment = $this->open($payments->forOrder($order)) ?? $payments->create([
            'order_id' => $order,
            'amount' => (string) $this->option('amount'),
            'currency' => (string) ($this->option('currency') ?? config('trastienda.currency', 'ARS')),
            'description' => "Prueba del pedido $order",
            'method' => 'checkout',
            'payer' => ['email' => 'comprador@example.com'],
        ], ['attempt' => (int) $this->option('attempt')]);

        $this->said("Pago $payment->id del pedido $order: {$payment->status->value}");
        $reference = $payment->providerReference ?? throw new \RuntimeException('El pago no llegó al proveedor: ¿tiene el proyecto las credenciales del simulador?');

        if ($what === 'payment.rejected') {
            // A rejected attempt leaves a checkout open: the customer may try another card.
            $simulator->pay($reference, ['status' => 'rejected', 'status_detail' => 'cc_rejected_insufficient_amount']);
            $this->await($payment, $payments, fn (Payment $now): bool => str_contains((string) json_encode($now->timeline), 'rejected'), 'el rechazo');

            return $this->said('Rechazado: el pago sigue pendiente y el rechazo está en su historia.');
        }

        if (! $payment->isPaid()) {
            $simulator->pay($reference, []);
        }

        $this->await($payment, $payments, fn (Payment $now): bool => $now->isPaid(), 'el pago');
        $this->said('Pagado: el hub emite payment.paid y, si cubre el pedido, order.paid.');

        if ($what === 'payment.refunded') {
            $payments->refund($payment->id);
            $this->await($payment, $payments, fn (Payment $now): bool => $now->isRefunded(), 'la devolución');
            $this->said('Devuelto: el hub emite payment.refunded.');
        }

        return self::SUCCESS;
    }

    /**
     * @param  list<Payment>  $payments
     */
    private function open(array $payments): ?Payment
    {
        foreach ($payments as $payment) {
            if ($payment->isPending() && $payment->providerReference !== null) {
                return $payment;
            }
        }

        return null;
    }

    private function local(string $what, string $order): int
    {
        if (! Door::exists($this->laravel)) {
            $this->error('No hay ruta: agregá Route::trastiendaWebhooks(); a routes/web.php.');

            return self::FAILURE;
        }

        if (! is_string(config('trastienda.webhooks.secret'))) {
            config(['trastienda.webhooks.secret' => 'whsec_'.base64_encode(random_bytes(24))]);
        }

        $given = ['order_id' => $order, 'amount' => (string) $this->option('amount')];
        $types = match ($what) {
            'payment.approved' => ['payment.paid', 'order.paid'],
            'payment.rejected' => ['payment.failed'],
            default => [$what],
        };

        foreach ($types as $type) {
            $webhook = SignedWebhook::make($type, Payloads::for($type, $type === 'order.created' ? ['order_id' => $order, 'total' => $given['amount']] : $given));
            $status = $webhook->deliver()->getStatusCode();
            $this->said("$type del pedido $order: la tienda contestó $status");

            if ($status !== 200) {
                return self::FAILURE;
            }
        }

        return self::SUCCESS;
    }

    /**
     * @param  \Closure(Payment): bool  $condition
     */
    private function await(Payment $payment, Payments $payments, \Closure $condition, string $what): void
    {
        if (! Patience::until((float) $this->option('seconds'), fn (): bool => $condition($payments->get($payment->id)))) {
            throw new \RuntimeException("El hub no se enteró a tiempo: $what. El pago es $payment->id.");
        }
    }

    private function said(string $what): int
    {
        $this->info($what);

        return self::SUCCESS;
    }
}
