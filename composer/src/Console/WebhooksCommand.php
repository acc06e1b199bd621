<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Console;

use Illuminate\Console\Command;
use Illuminate\Contracts\Container\Container;
use Illuminate\Support\Carbon;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Contracts\ReceivedWebhooks;
use Trastienda\Laravel\Doctor\Patience;
use Trastienda\Laravel\Doctor\WebhookProbe;
use Trastienda\Laravel\Trastienda;
use Trastienda\Laravel\Webhooks\Door;
use Trastienda\Laravel\Webhooks\PulledDeliveries;

/**
 * Webhooks from the shop's side: pull them on a laptop, and forget old ones.
 */
final class WebhooksCommand extends Command
{
    protected $signature = 'trastienda:webhooks
        {do : listen trae los webhooks del hub sin dirección pública; prune olvida los webhooks viejos}
        {--events=* : listen: qué tipos recibe el endpoint, si hay que crearlo (order.*, payment.paid, …)}
        {--since= : listen: también lo entregado desde entonces, otra vez}
        {--once : listen: una sola vez}
        {--live : listen: también con una clave de producción}
        {--days=90 : prune: los que se manejaron hace más que esto}';

    protected $description = 'Trae los webhooks del hub a una laptop (listen) u olvida los viejos (prune)';

    public function handle(Trastienda $trastienda, ReceivedWebhooks $received): int
    {
        return match ($this->argument('do')) {
            'listen' => $this->listen($trastienda),
            'prune' => $this->prune($received),
            default => $this->unknown(),
        };
    }

    /**
     * Does what an agent does for a shop that nothing outside can reach: the deliveries of the
     * endpoint `agent:///…` come here, to this application's own route.
     */
    private function listen(Trastienda $trastienda): int
    {
        if (! Door::exists($this->laravel)) {
            $this->error('No hay ruta: agregá Route::trastiendaWebhooks(); a routes/web.php.');

            return self::FAILURE;
        }

        if (str_starts_with((string) config('trastienda.key'), 'tk_live_') && ! $this->option('live')) {
            $this->error('La clave es de producción: listen se llevaría los webhooks que espera el agente de la tienda. Usá la de un proyecto de prueba, o --live si es lo que querés.');

            return self::FAILURE;
        }

        try {
            if (! $this->prepare($trastienda)) {
                return self::FAILURE;
            }
        } catch (TrastiendaException $exception) {
            $this->error($exception->getMessage());

            return self::FAILURE;
        }

        $pulled = $this->laravel->make(PulledDeliveries::class);
        $this->info('Los webhooks de '.self::url($this->laravel).' llegan acá. Ctrl-C termina.');

        do {
            try {
                $pulled->pull(fn (array $delivery, array $result) => $this->tell($delivery, $result));
            } catch (TrastiendaException $exception) {
                $this->warn($exception->getMessage());

                if ($this->option('once')) {
                    return self::FAILURE;
                }

                Patience::until(2, fn (): bool => false);
            }
        } while (! $this->option('once'));

        return self::SUCCESS;
    }

    /**
     * The endpoint and its secret, and what came before if that is wanted.
     *
     * @throws TrastiendaException
     */
    private function prepare(Trastienda $trastienda): bool
    {
        $url = self::url($this->laravel);
        $endpoint = $this->laravel->make(WebhookProbe::class)->endpoint($url);

        if ($endpoint === null || ! is_string(config('trastienda.webhooks.secret'))) {
            $options = ['--webhook-url' => $url, '--events' => array_values(array_filter((array) $this->option('events'), is_string(...))), '--no-interaction' => true];

            if ($this->call('trastienda:install', $options) !== self::SUCCESS) {
                return false;
            }

            $endpoint = $this->laravel->make(WebhookProbe::class)->endpoint($url);
        }

        $since = $this->option('since');

        if (is_string($since) && is_string($endpoint['id'] ?? null)) {
            $trastienda->request('POST', "/v1/webhook-endpoints/{$endpoint['id']}/replay", ['since' => Carbon::parse($since)->utc()->format('Y-m-d\TH:i:s.v\Z'), 'status' => 'all']);
        }

        return true;
    }

    /**
     * @param  array<array-key, mixed>  $delivery
     * @param  array<string, mixed>  $result
     */
    private function tell(array $delivery, array $result): void
    {
        $body = json_decode(is_string($delivery['body'] ?? null) ? $delivery['body'] : '', true);
        $said = $result['response_code'] ?? $result['error'] ?? '';
        $this->line(Carbon::now()->format('H:i:s').'  '.(is_scalar($said) ? $said : '').'  '.implode('  ', array_filter([is_array($body) ? ($body['type'] ?? null) : null, is_array($body) ? ($body['id'] ?? null) : null], 'is_string')));
    }

    private static function url(Container $app): string
    {
        return 'agent://'.Door::path($app);
    }

    private function prune(ReceivedWebhooks $received): int
    {
        $count = $received->forgetOlderThan(max(7, (int) $this->option('days')));
        $this->info("Olvidados: $count");

        return self::SUCCESS;
    }

    private function unknown(): int
    {
        $this->error('Qué hacer: listen o prune.');

        return self::FAILURE;
    }
}
