<?php

declare(strict_types=1);

namespace Shop\Integration;

use Illuminate\Console\Command;
use Illuminate\Support\Facades\DB;

/**
 * For notices that never came: asks about every payment that has been pending too long.
 */
final class ReconcilePayments extends Command
{
    protected $signature = 'shop:reconcile {--older=300 : Segundos}';

    protected $description = 'Pregunta a Mercado Pago por los pagos que siguen pendientes';

    public function handle(MercadoPago $provider, Checkout $checkout): int
    {
        $pending = DB::table('payments')->where('status', 'pending')->whereNotNull('preference_id')->where('asked_at', '<=', now()->subSeconds((int) $this->option('older')))->orderBy('asked_at')->limit(200)->get();

        foreach ($pending as $payment) {
            DB::table('payments')->where('id', $payment->id)->update(['asked_at' => now()]);

            foreach ($provider->paymentsOf($payment->id) as $said) {
                $checkout->settle($said);
            }
        }

        $this->info("Consultados: {$pending->count()}");

        return self::SUCCESS;
    }
}
