<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Queue;

use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldBeEncrypted;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Queue\InteractsWithQueue;
use Trastienda\Exception\InvalidRequest;
use Trastienda\Exception\RateLimited;
use Trastienda\Laravel\Transports\TransportChooser;
use Trastienda\Laravel\Wire\Call;

/**
 * A call that nobody took, waiting in the shop's queue; encrypted, since it may name customers.
 */
final class SendCall implements ShouldBeEncrypted, ShouldQueue
{
    use InteractsWithQueue;
    use Queueable;

    public int $tries = 40;

    /**
     * @param  array{method: string, path: string, body: array<array-key, mixed>|null, headers: array<string, string>}  $call
     */
    public function __construct(public array $call)
    {
        // What was said inside a transaction has been waited for already; a queue in the same
        // database must not wait for another.
        $this->afterCommit = false;
    }

    public function handle(TransportChooser $chooser): void
    {
        try {
            $chooser->withoutQueue()->send(Call::fromArray($this->call));
        } catch (InvalidRequest $exception) {
            // Repeating it unchanged will not help.
            $this->fail($exception);
        } catch (RateLimited $exception) {
            $this->release($exception->retryAfter() ?? 60);
        }
    }

    /**
     * @return list<int> seconds
     */
    public function backoff(): array
    {
        return [5, 15, 60, 300, 900, 3600];
    }

    public function displayName(): string
    {
        return "Trastienda {$this->call['path']}";
    }
}
