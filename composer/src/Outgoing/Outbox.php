<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Outgoing;

use Illuminate\Database\ConnectionInterface;
use Illuminate\Database\ConnectionResolverInterface;
use Illuminate\Database\Query\Builder;
use Illuminate\Support\Carbon;
use Trastienda\Exception\InvalidRequest;
use Trastienda\Exception\RateLimited;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\OutboxSettings;
use Trastienda\Laravel\Wire\Call;

/**
 * Calls as rows of the shop's own database, so that they commit with what they tell of.
 *
 * A row is deleted once the agent or the hub has taken the call. Two that send the same row
 * send the same id, which is one thing, so nothing is locked while the network is asked.
 * A call that is refused for good stays, marked, for somebody to look at.
 */
final class Outbox
{
    private const WAITS = [5, 15, 60, 300, 600];

    public function __construct(
        private readonly ConnectionResolverInterface $databases,
        private readonly OutboxSettings $settings,
        private readonly Transport $transport,
    ) {
    }

    /**
     * Writes the call down, in the transaction that is open, and gives its position.
     */
    public function put(Call $call): int
    {
        $now = self::now();

        return $this->table()->insertGetId([
            'call_id' => $call->id(),
            'call' => json_encode($call->withoutHeader('Prefer')->toArray(), JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION),
            'available_at' => $now,
            'created_at' => $now,
            // PostgreSQL has to be told which column it is that counts.
        ], 'position');
    }

    /**
     * Sends one row, if it is still there; says whether it is gone.
     */
    public function send(int $position): bool
    {
        $row = $this->table()->where('position', $position)->whereNull('failed_at')->first();

        return $row === null || $this->attempt($row);
    }

    /**
     * Sends what is due, oldest first, until nothing is or nobody takes it.
     *
     * @return array{sent: int, failed: int, waiting: int}
     */
    public function drain(int $most = 1000): array
    {
        $sent = $after = 0;

        while ($sent < $most) {
            $rows = $this->table()->whereNull('failed_at')->where('available_at', '<=', self::now())
                ->where('position', '>', $after)->orderBy('position')->limit(min(100, $most - $sent))->get();

            foreach ($rows as $row) {
                $after = (int) $row->position;

                if ($this->attempt($row)) {
                    $sent++;
                } elseif ($this->table()->where('position', $row->position)->whereNull('failed_at')->exists()) {
                    // Whoever did not take this one will not take the next.
                    break 2;
                }
            }

            if ($rows->count() === 0) {
                break;
            }
        }

        return ['sent' => $sent] + $this->counts();
    }

    /**
     * @return array{failed: int, waiting: int}
     */
    public function counts(): array
    {
        return [
            'failed' => $this->table()->whereNotNull('failed_at')->count(),
            'waiting' => $this->table()->whereNull('failed_at')->count(),
        ];
    }

    /**
     * @return list<array{position: int, id: string, path: string, attempts: int, error: string|null, failed: bool, created_at: string}>
     */
    public function rows(int $most = 50): array
    {
        return $this->table()->orderBy('position')->limit($most)->get()->map(fn (object $row): array => [
            'position' => (int) $row->position,
            'id' => (string) $row->call_id,
            'path' => (string) (json_decode((string) $row->call, true)['path'] ?? '?'),
            'attempts' => (int) $row->attempts,
            'error' => $row->error === null ? null : (string) $row->error,
            'failed' => $row->failed_at !== null,
            'created_at' => (string) $row->created_at,
        ])->values()->all();
    }

    /**
     * Gives what was refused another chance, and what waits its turn now; says how many.
     */
    public function retry(): int
    {
        return $this->table()->update(['failed_at' => null, 'available_at' => self::now()]);
    }

    private function attempt(object $row): bool
    {
        try {
            $this->transport->send(Call::fromJson((string) $row->call));
        } catch (TrastiendaException $exception) {
            $this->note($row, $exception);

            return false;
        }

        $this->table()->where('position', $row->position)->delete();

        return true;
    }

    private function note(object $row, TrastiendaException $exception): void
    {
        $attempts = (int) $row->attempts + 1;
        $wait = $exception instanceof RateLimited ? $exception->retryAfter() : null;
        $wait ??= self::WAITS[min($attempts, count(self::WAITS)) - 1];

        $this->table()->where('position', $row->position)->update([
            'attempts' => $attempts,
            'error' => mb_substr(mb_scrub($exception->getMessage()), 0, 500),
            'available_at' => self::now($wait),
            // Anything else, a wrong key too, may be mended elsewhere, and the call is good.
            'failed_at' => $exception instanceof InvalidRequest ? self::now() : null,
        ]);
    }

    private function table(): Builder
    {
        return $this->database()->table($this->settings->table);
    }

    private function database(): ConnectionInterface
    {
        return $this->databases->connection($this->settings->connection);
    }

    private static function now(int $later = 0): string
    {
        return Carbon::now('UTC')->addSeconds($later)->format('Y-m-d H:i:s');
    }
}
