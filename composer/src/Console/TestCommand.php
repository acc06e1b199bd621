<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Console;

use Closure;
use Illuminate\Console\Command;
use RuntimeException;
use Throwable;
use Trastienda\Exception\InvalidRequest;
use Trastienda\Laravel\Doctor\Patience;
use Trastienda\Laravel\Doctor\WebhookProbe;
use Trastienda\Laravel\Trastienda;
use Trastienda\Laravel\Webhooks\Door;

/**
 * Sends one of each, and waits until each has arrived.
 */
final class TestCommand extends Command
{
    protected $signature = 'trastienda:test
        {--mail= : Una dirección a la que mandar un correo de prueba}
        {--seconds=15 : Cuánto esperar a cada cosa}';

    protected $description = 'Prueba de verdad un evento, un correo y un webhook de ida y vuelta';

    private bool $failed = false;

    public function handle(Trastienda $trastienda, WebhookProbe $probe): int
    {
        $this->failed = false;
        $seconds = max(1, (int) $this->option('seconds'));

        $this->step('Evento', function () use ($trastienda, $seconds): string {
            $id = $trastienda->event('trastienda.test', ['from' => (string) config('app.name')]);
            $this->await($seconds, "el evento $id no llegó al hub", fn (): bool => $this->find($trastienda, "/v1/events/$id") !== null);

            return "$id está en el hub";
        });

        $mail = $this->option('mail');

        if (is_string($mail) && $mail !== '') {
            $this->step('Correo', function () use ($trastienda, $seconds, $mail): string {
                $id = (string) $trastienda->notify(['channel' => 'email', 'to' => $mail, 'subject' => 'Prueba de Trastienda', 'text' => 'Si leés esto, el correo de la tienda funciona.'])['id'];
                $this->await($seconds, "el correo $id sigue pendiente: ¿tiene el hub un servidor SMTP?", function () use ($trastienda, $id): bool {
                    $shown = $this->find($trastienda, "/v1/notifications/$id") ?? [];
                    $detail = $shown['detail'] ?? null;

                    return match ($shown['status'] ?? 'pending') {
                        'failed' => throw new RuntimeException('falló: '.(is_string($detail) ? $detail : 'sin detalle')),
                        'sent' => true,
                        default => false,
                    };
                });

                return "$id salió para $mail";
            });
        }

        if (Door::exists($this->laravel)) {
            $this->step('Webhook', function () use ($probe, $seconds): string {
                $endpoint = $probe->endpoint() ?? throw new RuntimeException('el hub no tiene un endpoint para esta tienda: php artisan trastienda:install');
                $delivery = $probe->test((string) $endpoint['id'], $seconds);

                return ($delivery['status'] ?? null) === 'sent'
                    ? "ida y vuelta por {$endpoint['url']}"
                    : throw new RuntimeException('no llegó: '.(string) ($delivery['last_error'] ?? $delivery['last_response_code'] ?? 'sin respuesta').'; php artisan trastienda:doctor dice por qué');
            });
        }

        return $this->failed ? self::FAILURE : self::SUCCESS;
    }

    /**
     * @param  Closure(): string  $step
     */
    private function step(string $what, Closure $step): void
    {
        $since = hrtime(true);

        try {
            $told = $step();
            $this->line(sprintf('<info>✓</info> %s: %s (%d ms)', $what, $told, (hrtime(true) - $since) / 1_000_000));
        } catch (Throwable $exception) {
            $this->failed = true;
            $this->line("<fg=red>✗</> $what: ".$exception->getMessage());
        }
    }

    /**
     * @param  Closure(): bool  $condition
     */
    private function await(int $seconds, string $otherwise, Closure $condition): void
    {
        if (! Patience::until($seconds, $condition)) {
            throw new RuntimeException($otherwise);
        }
    }

    /**
     * @return array<array-key, mixed>|null null while the agent has it and the hub not yet
     */
    private function find(Trastienda $trastienda, string $path): ?array
    {
        try {
            return $trastienda->request('GET', $path);
        } catch (InvalidRequest $exception) {
            return $exception->getCode() === 404 ? null : throw $exception;
        }
    }
}
