<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Console;

use Illuminate\Console\Command;
use Trastienda\Laravel\Outgoing\Outbox;

/**
 * Hands on what waits in the shop's outbox. The scheduler runs it each minute.
 */
final class OutboxCommand extends Command
{
    protected $signature = 'trastienda:outbox
        {--list : Muestra lo que hay, sin enviar nada}
        {--retry : Vuelve a intentar también lo rechazado}
        {--json : En JSON}';

    protected $description = 'Envía lo que espera en el outbox de la tienda';

    public function handle(Outbox $outbox): int
    {
        if ($this->option('list')) {
            $rows = $outbox->rows();
            $this->option('json') ? $this->json($rows) : $this->table(
                ['Posición', 'Id', 'Llamada', 'Intentos', 'Error', 'Desde'],
                array_map(fn (array $row): array => [$row['position'], $row['id'], $row['path'], $row['attempts'].($row['failed'] ? ' (rechazada)' : ''), $row['error'] ?? '', $row['created_at']], $rows),
            );

            return self::SUCCESS;
        }

        if ($this->option('retry')) {
            $outbox->retry();
        }

        $result = $outbox->drain();
        $this->option('json') ? $this->json($result) : $this->line("Enviadas: {$result['sent']} · en espera: {$result['waiting']} · rechazadas: {$result['failed']}");

        return self::SUCCESS;
    }

    /**
     * @param  array<array-key, mixed>  $value
     */
    private function json(array $value): void
    {
        $this->line((string) json_encode($value, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE));
    }
}
