<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Support;

use RuntimeException;

/**
 * The real hub with its own PostgreSQL, the real agent, Mercado Pago's simulator and a real SMTP
 * server, as processes under one temporary directory and on free ports.
 *
 * The programs are looked for in TRASTIENDA_BIN, then in the repository's `target/debug`.
 */
final class RealStack
{
    public const ADMIN = 'admin-token-of-the-php-tests-0123456789abcdef';

    public readonly string $hub;

    public readonly string $simulator;

    public readonly string $mails;

    public readonly string $smtp;

    /** @var array<string, string> the simulator's Argentine seller */
    public readonly array $seller;

    public readonly string $socket;

    public readonly string $key;

    public readonly string $project;

    private readonly string $directory;

    /** @var array<string, resource> in the order of their start */
    private array $processes = [];

    private function __construct()
    {
        $this->directory = '/tmp/tls-real-'.bin2hex(random_bytes(4));
        mkdir($this->directory, 0755, true);
        chmod($this->directory, 0755);

        [$this->simulator, $this->seller] = $this->startSimulator();
        ['smtp' => $this->smtp, 'http' => $http] = json_decode($this->start('mails', ['/usr/bin/python3', dirname(__DIR__, 3).'/examples/mail-catcher/catcher.py', '--smtp', '127.0.0.1:0', '--http', '127.0.0.1:0'], [], announces: true), true, 512, JSON_THROW_ON_ERROR);
        $this->mails = "http://$http";

        $address = '127.0.0.1:'.self::freePort();
        $this->hub = "http://$address";
        $this->start('hub', [self::program('trastienda-hub'), 'serve'], [
            'TRASTIENDA_DATA_DIR' => "$this->directory/hub",
            'TRASTIENDA_LISTEN' => $address,
            'TRASTIENDA_PUBLIC_URL' => $this->hub,
            'TRASTIENDA_ADMIN_TOKEN' => self::ADMIN,
            'TRASTIENDA_OUTBOUND_ALLOW' => '127.0.0.0/8',
            'TRASTIENDA_SMTP_URL' => "smtp://$this->smtp",
            'TRASTIENDA_MAIL_FROM' => 'Trastienda <hola@example.com>',
            'TRASTIENDA_MERCADOPAGO_URL' => $this->simulator,
        ]);
        self::until('the hub is ready', fn (): bool => self::http('GET', "$this->hub/readyz")[0] === 200);

        [$this->project, $this->key] = $this->createProject('Mate y Compañía', 'mates.example.com');
        self::http('PUT', "$this->hub/v1/payment-providers/mercadopago", ['access_token' => $this->seller['access_token'], 'webhook_secret' => $this->seller['webhook_secret']], $this->key);
        $this->socket = $this->startAgent('mate', $this->key);
    }

    public static function up(): self
    {
        return new self();
    }

    /**
     * Why it cannot be started here; null when it can.
     */
    public static function missing(): ?string
    {
        foreach (['trastienda-hub', 'trastienda-agent', 'trastienda-mercadopago-sim'] as $program) {
            if (! is_executable(self::binaries()."/$program")) {
                return "$program is not in ".self::binaries().': build the programs, or set TRASTIENDA_BIN.';
            }
        }

        return null;
    }

    /**
     * @return array{string, string} id and key
     */
    public function createProject(string $name, string $domain): array
    {
        [$status, $body] = self::http('POST', "$this->hub/admin/v1/projects", ['name' => $name, 'domain' => $domain, 'plan' => 'pro', 'mode' => 'test'], self::ADMIN);

        return $status === 201 ? [$body['project']['id'], $body['api_key']] : throw new RuntimeException("No project: $status");
    }

    /**
     * @return string its socket
     */
    public function startAgent(string $name, string $key): string
    {
        $socket = "$this->directory/$name.sock";
        $this->start("agent-$name", [self::program('trastienda-agent'), 'run'], [
            'TRASTIENDA_HUB_URL' => $this->hub,
            'TRASTIENDA_API_KEY' => $key,
            'TRASTIENDA_SOCKET' => $socket,
            'TRASTIENDA_AGENT_DATA_DIR' => "$this->directory/$name-buffer",
            'TRASTIENDA_BUFFER_MIN_FREE' => '0',
        ]);
        self::until("the agent $name answers", fn (): bool => self::http('GET', 'http://localhost/agent/status', null, null, $socket)[0] === 200);

        return $socket;
    }

    public function stopAgent(string $name): void
    {
        $this->stopProcess("agent-$name");
    }

    /**
     * @param  array<string, mixed>|null  $body
     * @return array{int, array<array-key, mixed>}
     */
    public function call(string $method, string $path, ?array $body = null, ?string $key = null): array
    {
        return self::http($method, $this->hub.$path, $body, $key ?? $this->key);
    }

    /**
     * @return array<string, mixed> the mail to this address, once it is there
     */
    public function mailTo(string $address): array
    {
        $found = null;
        self::until("a mail to $address", function () use ($address, &$found): bool {
            foreach (self::http('GET', "$this->mails/messages")[1]['data'] ?? [] as $mail) {
                $found = in_array($address, $mail['envelope_to'], true) ? $mail : $found;
            }

            return $found !== null;
        });

        return $found;
    }

    public function path(string $name): string
    {
        return "$this->directory/$name";
    }

    public function stop(): void
    {
        $postgres = (int) @file("$this->directory/hub/postgresql/data/postmaster.pid")[0];

        foreach (array_reverse(array_keys($this->processes)) as $name) {
            $this->stopProcess($name);
        }

        // A hub that was told to end has ended its PostgreSQL; one that fell over has not.
        for ($tries = 0; $tries < 500 && $postgres > 0 && str_contains((string) @file_get_contents("/proc/$postgres/cmdline"), $this->directory); $tries++) {
            $tries === 300 && posix_kill($postgres, 3);
            usleep(20_000);
        }

        (new \Illuminate\Filesystem\Filesystem())->deleteDirectory($this->directory);
    }

    public static function until(string $what, \Closure $condition, int $seconds = 30): void
    {
        $deadline = hrtime(true) + $seconds * 1_000_000_000;

        while (! $condition()) {
            if (hrtime(true) > $deadline) {
                throw new RuntimeException("It did not happen in $seconds s: $what.");
            }

            usleep(20_000);
        }
    }

    public static function freePort(): int
    {
        $probe = stream_socket_server('tcp://127.0.0.1:0') ?: throw new RuntimeException('No port is free.');
        $port = (int) substr((string) strrchr((string) stream_socket_get_name($probe, false), ':'), 1);
        fclose($probe);

        return $port;
    }

    /**
     * @param  array<string, mixed>|null  $body
     * @return array{int, array<array-key, mixed>}
     */
    public static function http(string $method, string $url, ?array $body = null, ?string $token = null, ?string $socket = null): array
    {
        $handle = curl_init($url);
        curl_setopt_array($handle, [CURLOPT_CUSTOMREQUEST => $method, CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 30, CURLOPT_PROXY => '',
            CURLOPT_HTTPHEADER => array_values(array_filter(['Content-Type: application/json', $token === null ? null : "Authorization: Bearer $token"]))]);

        if ($body !== null) {
            curl_setopt($handle, CURLOPT_POSTFIELDS, json_encode((object) $body, JSON_THROW_ON_ERROR));
        }

        if ($socket !== null) {
            curl_setopt($handle, CURLOPT_UNIX_SOCKET_PATH, $socket);
        }

        $text = (string) curl_exec($handle);

        return [(int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE), (array) json_decode($text, true)];
    }

    /**
     * @return array{string, array<string, string>} its address and its Argentine seller
     */
    private function startSimulator(): array
    {
        $line = $this->start('simulator', [self::program('trastienda-mercadopago-sim'), '--listen', '127.0.0.1:0', '--seed', '1', '--http-back-urls'], [], announces: true);
        $url = trim((string) preg_replace('/^listening on /', '', $line));
        $sellers = self::http('GET', "$url/control/sellers")[1];

        foreach (array_is_list($sellers) ? $sellers : (array) reset($sellers) as $seller) {
            if (($seller['site'] ?? $seller['site_id'] ?? null) === 'MLA') {
                return [$url, $seller];
            }
        }

        throw new RuntimeException('The simulator has no Argentine seller.');
    }

    /**
     * @param  list<string>  $command
     * @param  array<string, string>  $environment
     * @return string its first line, if it is to say one
     */
    private function start(string $name, array $command, array $environment, bool $announces = false): string
    {
        $log = ['file', "$this->directory/$name.log", 'a'];
        $process = proc_open($command, [0 => ['file', '/dev/null', 'r'], 1 => $announces ? ['pipe', 'w'] : $log, 2 => $log], $pipes, null, $environment + ['PATH' => '/usr/local/bin:/usr/bin:/bin']);
        $this->processes[$name] = $process ?: throw new RuntimeException("$name did not start.");

        if (! $announces) {
            return '';
        }

        stream_set_timeout($pipes[1], 20);
        $line = (string) fgets($pipes[1]);

        return $line !== '' ? $line : throw new RuntimeException("$name said nothing: ".file_get_contents("$this->directory/$name.log"));
    }

    private function stopProcess(string $name): void
    {
        proc_terminate($this->processes[$name], 15);
        proc_close($this->processes[$name]);
        unset($this->processes[$name]);
    }

    private static function program(string $name): string
    {
        return self::binaries()."/$name";
    }

    private static function binaries(): string
    {
        return rtrim((string) (getenv('TRASTIENDA_BIN') ?: dirname(__DIR__, 3).'/target/debug'), '/');
    }
}
