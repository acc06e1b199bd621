<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Console;

use Illuminate\Contracts\Config\Repository as Config;
use RuntimeException;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Curl;
use Trastienda\Laravel\Wire\TransferFailed;

/**
 * The control interface of Mercado Pago's simulator: what a buyer would do.
 */
final class Simulator
{
    public function __construct(private readonly Config $config)
    {
    }

    /**
     * @param  array<string, string>  $how  nothing: approved, by the first method
     */
    public function pay(string $preference, array $how): void
    {
        $address = rtrim((string) $this->config->get('trastienda.simulator', 'http://127.0.0.1:8090'), '/');

        try {
            $reply = (new Curl($address, 2000, null))->exchange(new Call('POST', "/control/preferences/$preference/pay", $how), 10_000);
        } catch (TransferFailed $failure) {
            throw new RuntimeException("El simulador no responde en $address ({$failure->getMessage()}): arrancalo con trastienda-mercadopago-sim, o definí TRASTIENDA_SIMULATOR_URL.", 0, $failure);
        }

        if (! $reply->isSuccess()) {
            throw new RuntimeException("El simulador contestó $reply->status: ¿es de él esta preferencia, y no del Mercado Pago de verdad? ".(string) json_encode($reply->body));
        }
    }
}
