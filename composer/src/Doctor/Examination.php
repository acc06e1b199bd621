<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Doctor;

use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Contracts\Container\Container;
use Illuminate\Contracts\Queue\Factory as QueueFactory;
use Illuminate\Database\DatabaseManager;
use Illuminate\Support\Carbon;
use Throwable;
use Trastienda\Laravel\ApiKey;
use Trastienda\Laravel\Diagnosis;
use Trastienda\Laravel\Exceptions\InvalidConfig;
use Trastienda\Laravel\Outgoing\Outbox;
use Trastienda\Laravel\Settings;
use Trastienda\Laravel\StatusReport;
use Trastienda\Laravel\Transports\HttpTransport;
use Trastienda\Laravel\Webhooks\Door;
use Trastienda\Laravel\Webhooks\Signature;
use Trastienda\Laravel\Webhooks\WebhookSettings;
use Trastienda\Laravel\Wire\Call;

/**
 * Looks at everything between the shop and the hub, and says what to do about what it finds.
 */
final class Examination
{
    public function __construct(
        private readonly Settings $settings,
        private readonly Diagnosis $diagnosis,
        private readonly Config $config,
        private readonly Container $app,
    ) {
    }

    /**
     * @param  bool  $deep  also has the hub send a test webhook and waits for it
     * @return list<Finding>
     */
    public function run(bool $deep): array
    {
        $status = new StatusReport($this->diagnosis->run());

        return array_values(array_filter([
            $this->settings(),
            $this->key($status),
            $this->extension($status),
            $this->agent($status),
            ...$this->buffer($status),
            $this->hub($status),
            $this->clock($status->is('hub.reachable')),
            $this->secret(),
            $this->route(),
            $this->table(),
            $status->is('reachable') ? $this->webhook($deep) : null,
            $this->outbox(),
            $this->queue(),
        ]));
    }

    private function settings(): Finding
    {
        try {
            $this->settings->check();
        } catch (InvalidConfig $exception) {
            return Finding::bad('Configuración', $exception->getMessage(), 'Corregilo en .env o en config/trastienda.php, y corré php artisan config:clear.');
        }

        return $this->settings->enabled
            ? Finding::good('Configuración', "transporte {$this->settings->transport}, alternativa {$this->settings->fallback}")
            : Finding::warning('Configuración', 'Trastienda está desactivada: nada sale de la tienda', 'Quitá TRASTIENDA_ENABLED=false de .env cuando la quieras usar.');
    }

    private function key(StatusReport $status): Finding
    {
        $key = $this->settings->key;

        if ($key === null) {
            return $status->is('agent.reachable')
                ? Finding::warning('Clave', 'sin definir: se usa la del agente', 'Definí TRASTIENDA_API_KEY para que otro agente no hable por esta tienda y para llegar al hub sin agente.')
                : Finding::bad('Clave', 'sin definir', 'Pedila a quien opera el hub (trastienda-hub project create) y corré php artisan trastienda:install.');
        }

        $problem = ApiKey::problem($key);

        return $problem === null
            ? Finding::good('Clave', "termina en …{$status->text('key_last_four')}")
            : Finding::bad('Clave', $problem, 'Copiá otra vez la clave completa a TRASTIENDA_API_KEY; si se perdió, rotala: trastienda-hub project rotate-key ID.');
    }

    private function extension(StatusReport $status): Finding
    {
        return match (true) {
            $status->is('extension.usable') => Finding::good('Extensión', trim("cargada {$status->text('extension.version')}").", socket {$status->text('extension.socket')}"),
            $status->is('extension.loaded') => Finding::warning('Extensión', 'cargada pero apagada', 'Poné trastienda.enabled=1 en php.ini.'),
            default => Finding::good('Extensión', 'no está; no hace falta: PHP habla con el agente por sí solo'),
        };
    }

    private function agent(StatusReport $status): Finding
    {
        $socket = (string) $status->text('agent.socket');

        if (! $status->is('agent.reachable')) {
            $fix = "Instalá trastienda-agent y arrancalo (systemctl start trastienda-agent), o revisá que TRASTIENDA_SOCKET sea su socket y que el usuario de PHP lo pueda abrir: $socket.";

            return $status->is('hub.accepted')
                ? Finding::warning('Agente', 'no responde: las llamadas van directo al hub y no sobreviven a que esté caído', $fix)
                : Finding::bad('Agente', "no responde: {$status->text('agent.error')}", $fix);
        }

        return match ($status->text('agent.hub')) {
            'down' => Finding::warning('Agente', 'responde, pero no llega al hub: guarda todo en disco hasta que vuelva', 'Revisá TRASTIENDA_HUB_URL del agente y que el hub esté en marcha.'),
            'unauthorized' => Finding::bad('Agente', 'el hub rechaza su clave', 'Poné la clave vigente en TRASTIENDA_API_KEY del agente y reinicialo; lo guardado sale solo.'),
            'project_mismatch' => Finding::bad('Agente', 'lo que tiene guardado es de otro proyecto', 'Volvé a la clave anterior, o descartalo a conciencia: trastienda-agent queue --help.'),
            default => Finding::good('Agente', "responde en $socket"),
        };
    }

    /**
     * @return list<Finding>
     */
    private function buffer(StatusReport $status): array
    {
        if (! $status->is('agent.reachable')) {
            return [];
        }

        [$buffered, $oldest, $dead] = [$status->int('agent.buffered') ?? 0, $status->int('agent.oldest_seconds') ?? 0, $status->int('agent.dead_letters') ?? 0];
        $findings = [$oldest > 60
            ? Finding::warning('Cola del agente', "$buffered en espera, la más antigua hace $oldest s", 'Se envía sola cuando el hub vuelve; trastienda-agent status dice qué la frena.')
            : Finding::good('Cola del agente', "$buffered en espera")];

        if ($dead > 0) {
            $findings[] = Finding::warning('Rechazadas', "$dead llamadas que el hub no quiso", 'Miralas con GET /agent/dead-letters y reintentá las que valgan.');
        }

        return $findings;
    }

    private function hub(StatusReport $status): Finding
    {
        [$url, $error] = [(string) $status->text('hub.url'), (string) $status->text('hub.error')];

        return match (true) {
            ! $status->is('hub.configured') => $status->is('agent.reachable')
                ? Finding::good('Hub', 'se llega por el agente; sin TRASTIENDA_URL no hay camino alternativo')
                : Finding::bad('Hub', 'sin dirección', 'Definí TRASTIENDA_URL y TRASTIENDA_API_KEY, o arrancá un agente.'),
            $status->is('hub.accepted') => Finding::good('Hub', "$url · proyecto {$status->text('hub.project')}"),
            $status->is('hub.reachable') => Finding::bad('Hub', "rechaza la clave: $error", 'La clave se rotó o el proyecto está inactivo: pedí la vigente a quien opera el hub.'),
            default => Finding::bad('Hub', "no responde: $error", "Revisá TRASTIENDA_URL ($url), el DNS y el cortafuegos; curl $url/healthz tiene que contestar."),
        };
    }

    private function clock(bool $reachable): ?Finding
    {
        if (! $reachable) {
            return null;
        }

        try {
            $date = (new HttpTransport($this->settings))->send(new Call('GET', '/healthz'))->headers['date'] ?? '';
        } catch (Throwable) {
            return null;
        }

        $theirs = strtotime($date);
        $skew = $theirs === false ? 0 : abs(Carbon::now()->getTimestamp() - $theirs);
        $tolerance = WebhookSettings::read($this->config)->tolerance;
        $fix = 'Sincronizá el reloj de este servidor: timedatectl set-ntp true.';

        return match (true) {
            $skew >= $tolerance => Finding::bad('Reloj', "a $skew s del hub: los webhooks se rechazan por viejos", $fix),
            $skew > 5 => Finding::warning('Reloj', "a $skew s del hub", $fix),
            default => Finding::good('Reloj', "a $skew s del hub"),
        };
    }

    private function secret(): Finding
    {
        try {
            Signature::withSecrets(WebhookSettings::read($this->config)->secret);
        } catch (InvalidConfig $exception) {
            return Finding::warning('Secreto de webhooks', $exception->getMessage(), 'php artisan trastienda:install crea el endpoint en el hub y guarda su secreto.');
        }

        return Finding::good('Secreto de webhooks', 'definido');
    }

    private function route(): Finding
    {
        return Door::exists($this->app)
            ? Finding::good('Ruta de webhooks', Door::path($this->app))
            : Finding::warning('Ruta de webhooks', 'no está', 'Agregá Route::trastiendaWebhooks(); a routes/web.php (y php artisan route:clear si las rutas están en caché).');
    }

    private function table(): Finding
    {
        try {
            $settings = WebhookSettings::read($this->config);
            $exists = $this->app->make(DatabaseManager::class)->connection($settings->connection)->getSchemaBuilder()->hasTable($settings->table);
        } catch (Throwable $exception) {
            return Finding::bad('Tabla de webhooks', $exception->getMessage(), 'Revisá la conexión a la base de datos de la tienda.');
        }

        return $exists
            ? Finding::good('Tabla de webhooks', 'existe')
            : Finding::bad('Tabla de webhooks', 'no existe', 'php artisan migrate');
    }

    private function webhook(bool $deep): ?Finding
    {
        return Door::exists($this->app) ? $this->app->make(WebhookProbe::class)->finding($deep) : null;
    }

    private function outbox(): ?Finding
    {
        if (! $this->settings->outbox->enabled) {
            return null;
        }

        try {
            ['waiting' => $waiting, 'failed' => $failed] = $this->app->make(Outbox::class)->counts();
        } catch (Throwable $exception) {
            return Finding::bad('Outbox', $exception->getMessage(), 'php artisan migrate');
        }

        return $failed > 0
            ? Finding::warning('Outbox', "$waiting en espera, $failed rechazadas", 'php artisan trastienda:outbox --list las muestra; --retry las vuelve a intentar.')
            : Finding::good('Outbox', "$waiting en espera; la vacía php artisan schedule:run");
    }

    /**
     * Laravel's own queue, where something of ours may wait in it.
     */
    private function queue(): ?Finding
    {
        $webhooks = WebhookSettings::read($this->config);
        $names = array_filter([
            $this->settings->fallback === 'queue' ? [$this->settings->queue->connection, $this->settings->queue->name] : null,
            $webhooks->queued ? [$webhooks->queueConnection, $webhooks->queue] : null,
        ]);

        if ($names === []) {
            return null;
        }

        try {
            $queues = $this->app->make(QueueFactory::class);
            $waiting = array_sum(array_map(fn (array $name): int => $queues->connection($name[0])->size($name[1]), $names));
        } catch (Throwable $exception) {
            return Finding::bad('Cola de Laravel', $exception->getMessage(), 'Revisá QUEUE_CONNECTION: lo que nadie tome ahora no tiene dónde esperar.');
        }

        return $waiting > 100
            ? Finding::warning('Cola de Laravel', "$waiting trabajos en espera", '¿Corre php artisan queue:work?')
            : Finding::good('Cola de Laravel', "$waiting trabajos en espera");
    }
}
