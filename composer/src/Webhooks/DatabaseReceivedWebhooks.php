<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

use Closure;
use Illuminate\Database\ConnectionResolverInterface;
use Illuminate\Support\Carbon;
use Trastienda\Laravel\Contracts\ReceivedWebhooks;

/**
 * One row per handled webhook, in the transaction of what its listeners write.
 *
 * So the row and their work commit together: there is no moment at which a webhook counts
 * as handled and its work is lost, nor one at which the work is there twice. A copy that
 * arrives meanwhile waits at the unique key.
 */
final class DatabaseReceivedWebhooks implements ReceivedWebhooks
{
    public function __construct(
        private readonly ConnectionResolverInterface $databases,
        private readonly ?string $connection,
        private readonly string $table,
    ) {
    }

    public function once(string $id, string $type, Closure $handle): bool
    {
        $database = $this->databases->connection($this->connection);

        $isNew = false;

        $database->transaction(function () use ($database, $id, $type, $handle, &$isNew): void {
            $fresh = $database->table($this->table)->insertOrIgnore([
                'webhook_id' => $id,
                'type' => $type,
                'received_at' => Carbon::now('UTC')->format('Y-m-d H:i:s'),
            ]);

            // Set each time: a deadlock runs this again.
            $isNew = $fresh > 0;

            if ($isNew) {
                $handle();
            }
        });

        return $isNew;
    }

    public function has(string $id): bool
    {
        return $this->databases->connection($this->connection)->table($this->table)->where('webhook_id', $id)->exists();
    }

    public function forgetOlderThan(int $days): int
    {
        return $this->databases->connection($this->connection)->table($this->table)
            ->where('received_at', '<', Carbon::now('UTC')->subDays($days)->format('Y-m-d H:i:s'))->delete();
    }
}
