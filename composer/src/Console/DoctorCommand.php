<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Console;

use Illuminate\Console\Command;
use Trastienda\Laravel\Doctor\Examination;
use Trastienda\Laravel\Doctor\Finding;

/**
 * What is wrong between this shop and the hub, and what to do about it.
 */
final class DoctorCommand extends Command
{
    protected $signature = 'trastienda:doctor
        {--quick : Sin la entrega de prueba}
        {--json : Los hallazgos, en JSON}';

    protected $description = 'Revisa extensión, agente, hub, clave, reloj y webhooks, y dice cómo arreglar lo que falle';

    public function handle(Examination $examination): int
    {
        $findings = $examination->run(deep: ! $this->option('quick'));
        $bad = array_filter($findings, fn (Finding $finding): bool => $finding->state === Finding::BAD);

        if ($this->option('json')) {
            $this->line((string) json_encode(['healthy' => $bad === [], 'findings' => $findings], JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE));
        } else {
            foreach ($findings as $finding) {
                $this->show($finding);
            }

            $bad === [] ? $this->info('Todo lo necesario funciona.') : $this->error(count($bad) === 1 ? 'Hay un problema.' : 'Hay '.count($bad).' problemas.');
        }

        return $bad === [] ? self::SUCCESS : self::FAILURE;
    }

    private function show(Finding $finding): void
    {
        $mark = match ($finding->state) {
            Finding::GOOD => '<info>✓</info>',
            Finding::WARNING => '<comment>!</comment>',
            default => '<fg=red>✗</>',
        };

        // A message from elsewhere is no markup of ours.
        $this->output->write("$mark ");
        $this->output->writeln("$finding->what: $finding->detail", \Symfony\Component\Console\Output\OutputInterface::OUTPUT_RAW);

        if ($finding->fix !== null) {
            $this->output->writeln("    → $finding->fix", \Symfony\Component\Console\Output\OutputInterface::OUTPUT_RAW);
        }
    }
}
