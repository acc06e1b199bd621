<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Console;

use Illuminate\Console\Command;
use Throwable;
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
            $this->table(['Parte', 'Estado', 'Detalle'], $this->rows($status));
        }

        if (! $status['reachable']) {
            $this->output->getErrorStyle()->error('Ni el agente ni el hub responden: lo que la tienda envíe ahora fallará.');

            return self::FAILURE;
        }

        return self::SUCCESS;
    }

    /**
     * @param  array<string, mixed>  $status
     * @return list<array{string, string, string}>
     */
    private function rows(array $status): array
    {
        ['extension' => $extension, 'agent' => $agent, 'hub' => $hub] = $status;

        return [
            ['Trastienda', $status['enabled'] ? 'activada' : 'desactivada', $this->transport($status)],
            ['Extensión', $extension['usable'] ? 'sí' : ($extension['loaded'] ? 'apagada' : 'no'), (string) ($extension['version'] ?? '')],
            ['Agente', $agent['reachable'] ? 'responde' : 'no responde', $this->agent($agent)],
            ['Hub', $this->hub($hub), implode(' · ', array_filter([$hub['url'], $hub['project'], $hub['error']]))],
            ['Clave', $status['key_last_four'] === null ? 'sin definir' : 'definida', $status['key_last_four'] === null ? '' : '…'.$status['key_last_four']],
        ];
    }

    /**
     * @param  array<string, mixed>  $status
     */
    private function transport(array $status): string
    {
        return $status['transport_error'] ?? "transporte: {$status['transport']}";
    }

    /**
     * @param  array<string, mixed>  $agent
     */
    private function agent(array $agent): string
    {
        if (! $agent['reachable']) {
            return "{$agent['socket']} · {$agent['error']}";
        }

        $hub = is_string($agent['hub'] ?? null) ? $agent['hub'] : '?';
        $buffered = is_int($agent['buffered'] ?? null) ? $agent['buffered'] : '?';

        return "{$agent['socket']} · hub: $hub · en espera: $buffered";
    }

    /**
     * @param  array<string, mixed>  $hub
     */
    private function hub(array $hub): string
    {
        return match (true) {
            ! $hub['configured'] => 'sin dirección propia',
            $hub['accepted'] => 'responde',
            $hub['reachable'] => 'rechaza la clave',
            default => 'no responde',
        };
    }
}
