<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Console;

use Illuminate\Console\Command;
use Illuminate\Foundation\Application;
use RuntimeException;
use Throwable;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\ApiKey;
use Trastienda\Laravel\Doctor\WebhookProbe;
use Trastienda\Laravel\Instances;
use Trastienda\Laravel\Settings;
use Trastienda\Laravel\Webhooks\Door;
use Trastienda\Laravel\Webhooks\PublicAddress;

/**
 * From `composer require` to a shop that sends and receives. Running it again repeats nothing.
 */
final class InstallCommand extends Command
{
    protected $signature = 'trastienda:install
        {--key= : La clave del proyecto; mejor en TRASTIENDA_API_KEY, donde nadie la ve pasar}
        {--url= : La dirección del hub}
        {--socket= : El socket del agente}
        {--webhook-url= : La dirección de los webhooks; por omisión la de APP_URL si es pública, y si no agent:///…, que trae el agente}
        {--events=* : Qué eventos recibir (por omisión order.*, payment.* y notification.*)}
        {--rotate : Renueva el secreto de un endpoint que ya existe}
        {--no-webhook : Sin ruta ni endpoint}
        {--publish : Publica config/trastienda.php}';

    protected $description = 'Conecta esta tienda: .env, ruta, migraciones, y el endpoint en el hub con su secreto';

    public function handle(): int
    {
        $key = $this->answer('key', 'La clave del proyecto (tk_live_… o tk_test_…)', config('trastienda.key'), secret: true);

        if ($key !== null && ($problem = ApiKey::problem($key)) !== null) {
            $this->error("La clave $problem.");

            return self::FAILURE;
        }

        $values = array_filter([
            'TRASTIENDA_API_KEY' => $key,
            'TRASTIENDA_URL' => $this->answer('url', 'La dirección del hub (https://…), o nada si solo hay agente', config('trastienda.url')),
            'TRASTIENDA_SOCKET' => $this->answer('socket', 'El socket del agente, o nada si no hay', config('trastienda.socket') ?? (file_exists(Settings::DEFAULT_SOCKET) ? Settings::DEFAULT_SOCKET : null)),
        ], 'is_string');
        $this->keep($values, ['TRASTIENDA_API_KEY' => 'key', 'TRASTIENDA_URL' => 'url', 'TRASTIENDA_SOCKET' => 'socket']);
        $this->info('✓ '.($values === [] ? 'Nada nuevo para .env' : '.env: '.implode(', ', array_keys($values))));

        if ($this->option('publish')) {
            $this->callSilently('vendor:publish', ['--tag' => 'trastienda-config']);
            $this->info('✓ config/trastienda.php publicado');
        }

        $this->migrate();
        $ready = $this->option('no-webhook') || $this->webhooks();

        if ($this->application()->configurationIsCached()) {
            $this->warn('La configuración está en caché: corré php artisan config:cache para que valga lo nuevo.');
        }

        $this->line('Siguiente paso: php artisan trastienda:doctor');

        return $ready ? self::SUCCESS : self::FAILURE;
    }

    /**
     * A database that is not there yet does not keep the rest from being set up.
     */
    private function migrate(): void
    {
        try {
            $this->call('migrate', ['--force' => true]);
        } catch (Throwable $exception) {
            $this->warn("Las tablas quedan pendientes: {$exception->getMessage()}");
            $this->line('  Cuando la base de datos esté lista: php artisan migrate');
        }
    }

    private function webhooks(): bool
    {
        $this->registerRoute();
        $public = Door::url($this->laravel);
        // What nothing outside can reach, the agent pulls.
        $url = $this->text($this->option('webhook-url')) ?? (PublicAddress::is($public) ? $public : 'agent://'.Door::path($this->laravel));

        try {
            $ready = $this->endpoint($url);

            if ($ready && str_starts_with($url, 'agent://')) {
                $this->line('  Los trae el agente, si sabe dónde está la tienda: TRASTIENDA_AGENT_APP_URL='.rtrim(is_string(config('app.url')) ? config('app.url') : 'http://localhost', '/').' en su configuración.');
                $this->line('  En una laptop sin agente: php artisan trastienda:webhooks listen.');
            }

            return $ready;
        } catch (TrastiendaException $exception) {
            $this->error("El hub no creó el endpoint para $url: {$exception->getMessage()}");

            foreach ($exception instanceof \Trastienda\Exception\InvalidRequest ? $exception->errors() : [] as $error) {
                $this->line("  {$error['pointer']}: {$error['message']}");
            }

            $this->line('  APP_URL o --webhook-url tiene que ser una dirección pública con https, o --webhook-url=agent://'.Door::path($this->laravel).' para que los traiga el agente.');

            return false;
        }
    }

    private function registerRoute(): void
    {
        $router = $this->laravel->make('router');

        if (Door::exists($this->laravel)) {
            $this->info('✓ La ruta ya está: '.Door::path($this->laravel));

            return;
        }

        $file = $this->laravel->basePath('routes/web.php');
        $text = is_file($file) ? (string) file_get_contents($file) : "<?php\n";

        if (! str_contains($text, 'trastiendaWebhooks(')) {
            file_put_contents($file, rtrim($text)."\n\n\\Illuminate\\Support\\Facades\\Route::trastiendaWebhooks();\n", LOCK_EX);
        }

        // For the rest of this command; the next request reads it from the file.
        $router->trastiendaWebhooks();
        $this->info('✓ Route::trastiendaWebhooks() agregada a routes/web.php');
    }

    /**
     * @throws TrastiendaException
     */
    private function endpoint(string $url): bool
    {
        $trastienda = $this->laravel->make(\Trastienda\Laravel\Trastienda::class);
        $known = $this->laravel->make(WebhookProbe::class)->endpoint($url);

        if ($known !== null && config('trastienda.webhooks.secret') !== null && ! $this->option('rotate')) {
            $this->info("✓ El hub ya tiene el endpoint $url");

            return true;
        }

        $answer = $known === null
            ? $trastienda->request('POST', '/v1/webhook-endpoints', [
                'url' => $url,
                'events' => $this->option('events') ?: ['order.*', 'payment.*', 'notification.*'],
                'description' => (string) config('app.name'),
            ])
            : $trastienda->request('POST', "/v1/webhook-endpoints/{$known['id']}/rotate-secret", ['overlap_seconds' => 86400]);

        $secret = $this->text($answer['secret'] ?? null);

        if ($secret === null) {
            $this->error('El hub no mostró el secreto: renovalo con php artisan trastienda:install --rotate.');

            return false;
        }

        // Both are good while the old one ends.
        $old = $known === null ? null : $this->text(explode(',', (string) config('trastienda.webhooks.secret'))[0]);
        $this->keep(['TRASTIENDA_WEBHOOK_SECRET' => $old === null ? $secret : "$secret,$old"], ['TRASTIENDA_WEBHOOK_SECRET' => 'webhooks.secret']);
        $this->info('✓ '.($known === null ? 'Endpoint creado' : 'Secreto renovado').": $url; su secreto está en .env");

        return true;
    }

    /**
     * Into `.env`, and into force for the rest of this command.
     *
     * @param  array<string, string>  $values
     * @param  array<string, string>  $settings  which variable is which setting
     */
    private function keep(array $values, array $settings): void
    {
        if ($values === []) {
            return;
        }

        (new EnvironmentFile($this->application()->environmentFilePath()))->set($values);

        foreach ($values as $name => $value) {
            config(["trastienda.{$settings[$name]}" => $value]);
        }

        Instances::forget($this->application());
    }

    private function answer(string $option, string $question, mixed $default, bool $secret = false): ?string
    {
        $given = $this->text($this->option($option));
        $default = $this->text($default);

        if ($given !== null || ! $this->input->isInteractive()) {
            return $given ?? $default;
        }

        if ($secret && $default !== null) {
            // Known already, and not for the screen.
            return $default;
        }

        return $this->text($secret ? $this->secret($question) : $this->ask($question, $default));
    }

    private function text(mixed $value): ?string
    {
        return is_string($value) && trim($value) !== '' ? trim($value) : null;
    }

    /**
     * Laravel's own application, and not only its contract.
     */
    private function application(): Application
    {
        return $this->laravel instanceof Application ? $this->laravel : throw new RuntimeException('This needs a Laravel application.');
    }
}
