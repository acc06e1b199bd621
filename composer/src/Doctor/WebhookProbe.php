<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Doctor;

use Illuminate\Contracts\Container\Container;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Trastienda;
use Trastienda\Laravel\Webhooks\Door;

/**
 * The endpoint at the hub that points to this shop, and a test through it.
 */
final class WebhookProbe
{
    private const WHAT = 'Webhooks';

    public function __construct(private readonly Trastienda $trastienda, private readonly Container $app)
    {
    }

    /**
     * The endpoint whose address is this one, or at least this shop's path, or nothing.
     *
     * @return array<array-key, mixed>|null
     *
     * @throws TrastiendaException
     */
    public function endpoint(?string $url = null): ?array
    {
        $wanted = [$url ?? Door::url($this->app), 'agent://'.Door::path($this->app)];
        $list = (array) ($this->trastienda->request('GET', '/v1/webhook-endpoints?limit=200')['data'] ?? []);

        foreach ($list as $endpoint) {
            if (is_array($endpoint) && in_array($endpoint['url'] ?? null, $wanted, true)) {
                return $endpoint;
            }
        }

        return null;
    }

    /**
     * Has the hub send a test to the endpoint, and waits for what comes of it.
     *
     * @return array<array-key, mixed> the delivery, with its attempts
     *
     * @throws TrastiendaException
     */
    public function test(string $endpoint, int $seconds = 15): array
    {
        $sent = $this->trastienda->request('POST', "/v1/webhook-endpoints/$endpoint/test");
        $delivery = [];

        Patience::until($seconds, function () use ($sent, &$delivery): bool {
            $delivery = $this->trastienda->request('GET', '/v1/webhook-deliveries/'.(is_string($sent['delivery'] ?? null) ? $sent['delivery'] : ''));

            // A first failure tells enough; the hub would go on for three days.
            return ($delivery['status'] ?? 'pending') !== 'pending' || (int) ($delivery['attempt_count'] ?? 0) > 0;
        });

        return $delivery;
    }

    public function finding(bool $deep): Finding
    {
        try {
            $endpoint = $this->endpoint();

            return match (true) {
                $endpoint === null => Finding::warning(self::WHAT, 'el hub no tiene un endpoint con '.Door::url($this->app), 'php artisan trastienda:install lo crea; APP_URL tiene que ser la dirección pública de la tienda.'),
                ($endpoint['enabled'] ?? true) !== true => Finding::bad(self::WHAT, 'el endpoint está deshabilitado: '.(string) ($endpoint['disabled_reason'] ?? ''), "Arreglá la ruta y habilitalo: POST /v1/webhook-endpoints/{$endpoint['id']}/enable. Lo pendiente se entrega entonces."),
                ! $deep => Finding::good(self::WHAT, (string) $endpoint['url']),
                default => $this->tested($endpoint),
            };
        } catch (TrastiendaException $exception) {
            return Finding::warning(self::WHAT, $exception->getMessage(), 'El hub no contestó; probá de nuevo cuando responda.');
        }
    }

    /**
     * @param  array<array-key, mixed>  $endpoint
     */
    private function tested(array $endpoint): Finding
    {
        $delivery = $this->test((string) $endpoint['id']);
        $code = $delivery['last_response_code'] ?? null;

        if (($delivery['status'] ?? null) === 'sent') {
            return Finding::good(self::WHAT, "{$endpoint['url']} contestó $code a una entrega de prueba");
        }

        $fix = match ($code) {
            401 => 'El secreto no es el de este endpoint: php artisan trastienda:install --rotate lo renueva.',
            404 => 'La dirección no lleva a la ruta: revisá APP_URL y Route::trastiendaWebhooks().',
            419 => 'Algo pide un token CSRF: quitá la ruta de ese middleware.',
            500 => 'La tienda falló al recibirlo: mirá storage/logs/laravel.log.',
            default => "El hub no llega a esa dirección. Desde fuera tiene que abrir {$endpoint['url']}; en una laptop usá php artisan trastienda:webhooks listen.",
        };

        return Finding::bad(self::WHAT, 'la entrega de prueba no llegó: '.($code === null ? (string) ($delivery['last_error'] ?? 'sin respuesta') : "HTTP $code"), $fix);
    }
}
