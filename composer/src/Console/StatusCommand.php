<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Console;

use Illuminate\Console\Command;
use Throwable;
use Trastienda\Laravel\StatusReport;
use Trastienda\Laravel\Trastienda;

/**
 * Shows the operator, in Spanish, which parts of the way to the hub answer.
 */
final class StatusCommand extends Command
{
    protected $signature = 'trastienda:status {--json : El informe completo, en JSON}';

    protected $description = 'Muestra si la extensión, el agente y el hub de Trastienda responden';

    public function handle(): int
    {
        try {
            // Resolved here and not injected: what is wrong is reported, not died of.
            $status = $this->laravel->make(Trastienda::class)->status();
        } catch (Throwable $exception) {
            $this->error($exception->getMessage());

            return self::FAILURE;
        }

        if ($this->option('json')) {
            $this->line((string) json_encode($status, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE));
        } else {
            $this->table(['Parte', 'Estado', 'Detalle'], $this->rows(new StatusReport($status)));
        }

        if (! (new StatusReport($status))->is('reachable')) {
            $this->output->getErrorStyle()->error('Ni el agente ni el hub responden: lo que la tienda envíe ahora fallará.');

            return self::FAILURE;
        }

        return self::SUCCESS;
    }

    /**
     * @return list<array{string, string, string}>
     */
    private function rows(StatusReport $status): array
    {
        $key = $status->text('key_last_four');

        return [
            ['Trastienda', $status->is('enabled') ? 'activada' : 'desactivada', $status->text('transport_error') ?? "transporte: {$status->text('transport')}"],
            ['Extensión', $status->is('extension.usable') ? 'sí' : ($status->is('extension.loaded') ? 'apagada' : 'no'), (string) $status->text('extension.version')],
            ['Agente', $status->is('agent.reachable') ? 'responde' : 'no responde', $this->agent($status)],
            ['Hub', $this->hub($status), implode(' · ', array_filter([$status->text('hub.url'), $status->text('hub.project'), $status->text('hub.error')], is_string(...)))],
            ['Clave', $key === null ? 'sin definir' : 'definida', $key === null ? '' : "…$key"],
        ];
    }

    private function agent(StatusReport $status): string
    {
        return $status->is('agent.reachable')
            ? $status->text('agent.socket').' · hub: '.($status->text('agent.hub') ?? '?').' · en espera: '.($status->int('agent.buffered') ?? '?')
            : "{$status->text('agent.socket')} · {$status->text('agent.error')}";
    }

    private function hub(StatusReport $status): string
    {
        return match (true) {
            ! $status->is('hub.configured') => 'sin dirección propia',
            $status->is('hub.accepted') => 'responde',
            $status->is('hub.reachable') => 'rechaza la clave',
            default => 'no responde',
        };
    }
}
