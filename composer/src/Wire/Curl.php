<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Wire;

use CurlHandle;
use JsonException;
use SensitiveParameter;

/**
 * HTTP/1.1 over TCP or a Unix socket, with one reconnect and a total time budget.
 *
 * Lazy: nothing is opened before the first call. The connection is kept for the next call
 * of the same process, and left behind after a fork, where two processes would otherwise
 * read each other's answers. Redirects are not followed.
 */
final class Curl
{
    private ?CurlHandle $handle = null;

    private ?int $owner = null;

    public function __construct(
        private readonly string $address,
        private readonly int $connectMs,
        #[SensitiveParameter] private readonly ?string $key,
        private readonly ?string $unixSocket = null,
    ) {
    }

    /**
     * @throws TransferFailed
     */
    public function exchange(Call $call, int $timeoutMs): Reply
    {
        // Encoded once: a second attempt sends the same bytes.
        $body = self::encode($call);
        $deadline = hrtime(true) + $timeoutMs * 1_000_000;

        try {
            return $this->attempt($call, $body, $timeoutMs);
        } catch (TransferFailed $failure) {
            $left = intdiv((int) ($deadline - hrtime(true)), 1_000_000);

            if (! $failure->connectionLost || ! $call->isRepeatable() || $left < 1) {
                throw $failure;
            }

            return $this->attempt($call, $body, $left);
        }
    }

    private function attempt(Call $call, ?string $body, int $timeoutMs): Reply
    {
        $handle = $this->handle();
        $headers = [];

        curl_reset($handle);
        curl_setopt_array($handle, [
            CURLOPT_URL => $this->address.$call->path,
            CURLOPT_CUSTOMREQUEST => $call->method,
            CURLOPT_HTTPHEADER => $this->headerLines($call),
            CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_1_1,
            CURLOPT_PROTOCOLS => CURLPROTO_HTTP | CURLPROTO_HTTPS,
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_NOSIGNAL => true,
            CURLOPT_CONNECTTIMEOUT_MS => min($this->connectMs, $timeoutMs),
            CURLOPT_TIMEOUT_MS => $timeoutMs,
            CURLOPT_HEADERFUNCTION => function (CurlHandle $_, string $line) use (&$headers): int {
                if (str_contains($line, ':')) {
                    [$name, $value] = explode(':', $line, 2);
                    $headers[strtolower(trim($name))] = trim($value);
                }

                return strlen($line);
            },
        ]);

        if ($body !== null) {
            curl_setopt($handle, CURLOPT_POSTFIELDS, $body);
        }

        if ($this->unixSocket !== null) {
            curl_setopt($handle, CURLOPT_UNIX_SOCKET_PATH, $this->unixSocket);
        }

        if (in_array(parse_url($this->address, PHP_URL_HOST), ['localhost', '127.0.0.1', '[::1]'], true)) {
            // A proxy of the environment has no way to this host's own doors.
            curl_setopt($handle, CURLOPT_PROXY, '');
        }

        $text = curl_exec($handle);

        if (! is_string($text)) {
            throw $this->failure($handle);
        }

        return Reply::fromText((int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE), $text, $headers);
    }

    private function failure(CurlHandle $handle): TransferFailed
    {
        $number = curl_errno($handle);
        $reason = curl_error($handle) ?: (curl_strerror($number) ?? "cURL error $number");

        if ($this->unixSocket !== null) {
            // cURL speaks of localhost and port 80, which leads nobody to the socket.
            $reason = ($number === CURLE_COULDNT_CONNECT ? 'nobody listens' : $reason)." at $this->unixSocket";
        }

        $sent = (int) curl_getinfo($handle, CURLINFO_REQUEST_SIZE) > 0;

        // A handle that failed is not worth keeping.
        $this->handle = null;

        if (! $sent) {
            return TransferFailed::beforeSending($reason);
        }

        $lost = in_array($number, [CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE], true);

        return TransferFailed::afterSending($reason, $lost);
    }

    private function handle(): CurlHandle
    {
        $process = getmypid() ?: 0;

        if ($this->handle === null || $this->owner !== $process) {
            $this->handle = curl_init();
            $this->owner = $process;
        }

        return $this->handle;
    }

    /**
     * @return list<string>
     */
    private function headerLines(Call $call): array
    {
        $headers = ['Accept' => 'application/json', 'User-Agent' => 'trastienda-laravel'] + $call->headers;

        if (self::hasBody($call)) {
            $headers['Content-Type'] = 'application/json';
        }

        if ($this->key !== null) {
            $headers['X-API-KEY'] = $this->key;
        }

        // Without this cURL asks for leave before a long body, and waits a second for it.
        $lines = ['Expect:'];

        foreach ($headers as $name => $value) {
            // A line break would let a value become a header of its own.
            $lines[] = $name.': '.str_replace(["\r", "\n"], ' ', $value);
        }

        return $lines;
    }

    private static function hasBody(Call $call): bool
    {
        return $call->body !== null || in_array($call->method, ['POST', 'PUT', 'PATCH'], true);
    }

    private static function encode(Call $call): ?string
    {
        if (! self::hasBody($call)) {
            return null;
        }

        // These are objects even when they are empty; PHP cannot tell by itself.
        $body = $call->body ?? [];

        foreach (['data', 'metadata', 'payer', 'back_urls', 'headers', 'sample'] as $name) {
            if (($body[$name] ?? null) === []) {
                $body[$name] = (object) [];
            }
        }

        try {
            return json_encode((object) $body, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION);
        } catch (JsonException $exception) {
            throw Failure::invalidRequest('The body cannot be written as JSON: '.$exception->getMessage());
        }
    }
}
