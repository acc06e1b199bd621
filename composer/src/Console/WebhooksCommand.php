<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Console;

use Illuminate\Console\Command;
use Illuminate\Support\Carbon;
use Illuminate\Support\Str;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Contracts\ReceivedWebhooks;
use Trastienda\Laravel\Doctor\Patience;
use Trastienda\Laravel\Trastienda;
use Trastienda\Laravel\Webhooks\Door;
use Trastienda\Laravel\Webhooks\SignedWebhook;

/**
 * Webhooks from the shop's side: hear the hub's events on a laptop, and forget old ones.
 */
final class WebhooksCommand extends Command
{
    protected $signature = 'trastienda:webhooks
        {do : listen escucha los eventos del hub sin dirección pública; prune olvida los webhooks viejos}
        {--events=* : listen: qué tipos (order.*, payment.paid, …); por omisión todos}
        {--since= : listen: desde cuándo, en vez de ahora}
        {--once : listen: una sola vez}
        {--every=2 : listen: cada cuántos segundos preguntar}
        {--days=90 : prune: los que se manejaron hace más que esto}';

    protected $description = 'Escucha los eventos del hub en una laptop (listen) u olvida los viejos (prune)';

    public function handle(Trastienda $trastienda, ReceivedWebhooks $received): int
    {
        return match ($this->argument('do')) {
            'listen' => $this->listen($trastienda),
            'prune' => $this->prune($received),
            default => $this->unknown(),
        };
    }

    /**
     * Asks the hub for new events and delivers each, signed, to this application's own route: no
     * address is needed that the hub could reach.
     */
    private function listen(Trastienda $trastienda): int
    {
        if (! Door::exists($this->laravel)) {
            $this->error('No hay ruta: agregá Route::trastiendaWebhooks(); a routes/web.php.');

            return self::FAILURE;
        }

        if (! is_string(config('trastienda.webhooks.secret'))) {
            // Nobody else signs here; a secret of this process will do.
            config(['trastienda.webhooks.secret' => 'whsec_'.base64_encode(random_bytes(24))]);
        }

        $given = $this->option('since');
        $since = is_string($given) ? Carbon::parse($given) : Carbon::now();
        $seen = [];
        $this->info('Escuchando los eventos del hub desde '.$since->toIso8601String().'. Ctrl-C termina.');

        do {
            try {
                foreach ($this->events($trastienda, $since) as $event) {
                    if (! isset($seen[$event['id']])) {
                        $seen[$event['id']] = true;
                        $this->deliver($event);
                    }
                }
            } catch (TrastiendaException $exception) {
                $this->warn($exception->getMessage());

                if ($this->option('once')) {
                    return self::FAILURE;
                }
            }
        } while (! $this->option('once') && ! Patience::until(max(0.2, (float) $this->option('every')), fn (): bool => false));

        return self::SUCCESS;
    }

    /**
     * @return list<array<array-key, mixed>> oldest first
     */
    private function events(Trastienda $trastienda, Carbon $since): array
    {
        $query = http_build_query(['created_after' => $since->copy()->utc()->format('Y-m-d\TH:i:s.v\Z'), 'limit' => 200]);
        $data = array_reverse(array_values(array_filter((array) ($trastienda->request('GET', "/v1/events?$query")['data'] ?? []), 'is_array')));
        $wanted = array_values(array_filter((array) $this->option('events'), is_string(...)));

        return array_values(array_filter($data, fn (array $event): bool => is_string($event['id'] ?? null) && is_string($event['type'] ?? null)
            // What the hub fans out to nobody reaches nobody here either.
            && ($event['duplicate_of'] ?? null) === null && ($event['status'] ?? 'accepted') === 'accepted'
            && ($wanted === [] || Str::is($wanted, $event['type']))));
    }

    /**
     * @param  array<array-key, mixed>  $event
     */
    private function deliver(array $event): void
    {
        $response = SignedWebhook::make((string) $event['type'], (array) ($event['data'] ?? []))->withId((string) $event['id'])->deliver();
        $this->line(Carbon::now()->format('H:i:s')."  {$response->getStatusCode()}  {$event['type']}  {$event['id']}");
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
