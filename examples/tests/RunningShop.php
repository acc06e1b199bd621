<?php

declare(strict_types=1);

namespace Trastienda\Examples\Tests;

use Illuminate\Filesystem\Filesystem;
use RuntimeException;
use Trastienda\Laravel\Tests\Support\RealStack;
use Trastienda\Laravel\Tests\Support\Workspace;

/**
 * One of the shops, served by PHP itself on a port of its own, writing outside the code.
 */
final class RunningShop
{
    public const SECRET = 'whsec_dHJhc3RpZW5kYS10ZXN0LXZlY3Rvci1zZWNyZXQtMDE=';

    /** @var resource|null */
    private $process = null;

    private readonly string $address;

    /** @var array<string, string> */
    private readonly array $environment;

    /**
     * @param  array<string, string>  $environment
     * @param  \Closure(string): array<string, string>|null  $more
     */
    private function __construct(private readonly string $directory, array $environment, ?\Closure $more = null)
    {
        $this->address = '127.0.0.1:'.RealStack::freePort();
        $this->environment = $environment + ($more === null ? [] : $more($this->url()));
    }

    /**
     * The shop where it is, beside an agent of the tests.
     */
    public static function beside(string $shop, string $socket): self
    {
        return new self(dirname(__DIR__)."/$shop", [
            'SHOP_STORAGE' => Workspace::make()->path('shop-'.bin2hex(random_bytes(4))),
            'TRASTIENDA_API_KEY' => 'tk_test_abcdefghijkl_secretsecretWXYZ',
            'TRASTIENDA_SOCKET' => $socket,
            'TRASTIENDA_TRANSPORT' => 'socket',
            'TRASTIENDA_WEBHOOK_SECRET' => self::SECRET,
        ]);
    }

    /**
     * A copy of the shop that knows nothing of Trastienda yet but its code: what `.env` says is still to be written.
     *
     * @param  array<string, string>  $environment
     * @param  \Closure(string): array<string, string>|null  $more  what depends on the shop's address
     */
    public static function copyOf(string $shop, string $to, array $environment = [], ?\Closure $more = null): self
    {
        $files = new Filesystem();
        $files->copyDirectory(dirname(__DIR__)."/$shop", "$to/shop");
        $files->delete("$to/shop/.env");
        $files->deleteDirectory("$to/shop/storage");
        symlink(dirname(__DIR__).'/laravel', "$to/laravel");

        return new self("$to/shop", ['SHOP_STORAGE' => "$to/storage"] + $environment, $more);
    }

    /**
     * @return list<string> the shop's own files, but for what it writes
     */
    public function files(): array
    {
        return array_values(array_map(fn (\SplFileInfo $file): string => $file->getPathname(), (new Filesystem())->allFiles($this->directory, true)));
    }

    public function url(): string
    {
        return "http://$this->address";
    }

    /**
     * @return array{int, string} the exit code and what it printed
     */
    public function artisan(string ...$arguments): array
    {
        $process = proc_open([PHP_BINARY, 'artisan', ...$arguments], [1 => ['pipe', 'w'], 2 => ['pipe', 'w']], $pipes, $this->directory, $this->environment());
        $output = stream_get_contents($pipes[1]).stream_get_contents($pipes[2]);

        return [proc_close($process), $output];
    }

    public function serve(): void
    {
        $this->process = proc_open(
            [PHP_BINARY, '-S', $this->address, '-t', 'public', 'public/index.php'],
            [1 => ['file', '/dev/null', 'w'], 2 => ['pipe', 'w']],
            $pipes,
            $this->directory,
            $this->environment(),
        ) ?: throw new RuntimeException('PHP did not start.');

        stream_set_timeout($pipes[2], 10);
        $line = (string) fgets($pipes[2]);

        if (! str_contains($line, 'started')) {
            throw new RuntimeException("The shop did not start: $line");
        }
    }

    public function stop(): void
    {
        if ($this->process !== null) {
            proc_terminate($this->process, 9);
            proc_close($this->process);
            $this->process = null;
        }
    }

    /**
     * @param  array<string, string>  $headers
     * @return array{int, string, array<string, mixed>}
     */
    public function call(string $method, string $path, ?string $body = null, array $headers = []): array
    {
        $handle = curl_init("http://$this->address$path");
        curl_setopt_array($handle, [
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 20,
            CURLOPT_PROXY => '',
            CURLOPT_HTTPHEADER => array_map(
                fn (string $name, string $value): string => "$name: $value",
                array_keys($headers + ['Content-Type' => '', 'Accept' => '']),
                $headers + ['Content-Type' => 'application/json', 'Accept' => 'application/json'],
            ),
        ]);

        if ($body !== null) {
            curl_setopt($handle, CURLOPT_POSTFIELDS, $body);
        }

        $text = (string) curl_exec($handle);

        return [(int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE), $text, (array) json_decode($text, true)];
    }

    /**
     * A webhook as the hub sends it.
     *
     * @param  array<string, mixed>  $data
     * @return array{int, string, array<string, mixed>}
     */
    public function deliver(string $id, string $type, array $data, string $secret = self::SECRET): array
    {
        $body = json_encode(['id' => $id, 'type' => $type, 'timestamp' => '2026-11-24T00:00:00.000Z', 'project' => 'prj_other', 'data' => $data], JSON_THROW_ON_ERROR);
        $at = time();
        $signature = base64_encode(hash_hmac('sha256', "$id.$at.$body", (string) base64_decode(substr($secret, 6), true), true));

        return $this->call('POST', '/webhooks/trastienda', $body, ['webhook-id' => $id, 'webhook-timestamp' => (string) $at, 'webhook-signature' => "v1,$signature"]);
    }

    /**
     * @return array<string, string>
     */
    private function environment(): array
    {
        return $this->environment + [
            'PATH' => (string) getenv('PATH'),
            'APP_KEY' => 'base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
            'APP_URL' => $this->url(),
        ];
    }
}
