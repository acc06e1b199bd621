<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Support;

use RuntimeException;

/**
 * A server in a process of its own: answers in the order given, the last one for ever,
 * and writes down each request before it answers.
 *
 * An answer is `status`, `body` and `headers`, or `drop` (close without a word), or `hang`
 * (never answer). In a body, the string `{id}` stands for the id of the request.
 */
final class StubServer
{
    /** @var resource */
    private $process;

    private readonly string $journal;

    private string $address = '';

    /**
     * @param  array<int, array<string, mixed>>  $answers
     */
    private function __construct(string $address, array $answers)
    {
        $this->journal = Workspace::make()->path('journal-'.bin2hex(random_bytes(4)).'.jsonl');
        touch($this->journal);

        $process = proc_open(
            [PHP_BINARY, '-n', __DIR__.'/stub_server.php', $address, $this->journal, json_encode($answers, JSON_THROW_ON_ERROR)],
            [0 => ['pipe', 'r'], 1 => ['pipe', 'w'], 2 => ['pipe', 'w']],
            $pipes,
        );

        if (! is_resource($process)) {
            throw new RuntimeException('The stub server did not start.');
        }

        $this->process = $process;
        stream_set_timeout($pipes[1], 10);
        // The server prints its address once it listens; until then this waits.
        $this->address = trim((string) fgets($pipes[1]));

        if ($this->address === '') {
            throw new RuntimeException('The stub server said nothing: '.stream_get_contents($pipes[2]));
        }
    }

    /**
     * @param  array<int, array<string, mixed>>  $answers
     */
    public static function start(string $address, array $answers): self
    {
        return new self($address, $answers === [] ? [['status' => 202, 'body' => ['id' => '{id}', 'status' => 'pending']]] : $answers);
    }

    public function url(): string
    {
        return 'http://'.$this->address;
    }

    /**
     * @return list<array{method: string, path: string, headers: array<string, string>, body: string}>
     */
    public function requests(): array
    {
        $lines = file($this->journal, FILE_IGNORE_NEW_LINES | FILE_SKIP_EMPTY_LINES) ?: [];

        return array_map(fn (string $line): array => json_decode($line, true, 512, JSON_THROW_ON_ERROR), $lines);
    }

    /**
     * @return array{method: string, path: string, headers: array<string, string>, body: string}
     */
    public function onlyRequest(): array
    {
        $requests = $this->requests();

        return count($requests) === 1 ? $requests[0] : throw new RuntimeException(count($requests).' requests came, not one.');
    }

    public function stop(): void
    {
        if (is_resource($this->process)) {
            proc_terminate($this->process, 9);
            proc_close($this->process);
        }
    }
}
