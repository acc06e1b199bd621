<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Outgoing;

use Closure;
use Illuminate\Contracts\Container\Container;
use Throwable;
use Trastienda\Exception\HubUnavailable;
use Trastienda\Exception\OutcomeUnknown;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Queue\JobKeys;
use Trastienda\Laravel\Settings;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Reply;

/**
 * When an event or a notification leaves: now, after the shop's transaction, or with it.
 *
 * - In no transaction: now, and what goes wrong is the caller's to hear.
 * - In a transaction: after it commits, and not at all if it does not. By then nobody
 *   waits for an answer, so what goes wrong is reported.
 * - By the outbox: as a row of the transaction itself. Commit and send are one.
 */
final class Outgoing
{
    /** Transports that send nothing have nothing to wait for. */
    private const AT_ONCE = ['null', 'log', 'fake'];

    public function __construct(
        private readonly Transport $transport,
        private readonly Settings $settings,
        private readonly JobKeys $jobs,
        private readonly Container $app,
    ) {
    }

    public function send(Call $call, ?bool $afterCommit = null, ?bool $outbox = null): Reply
    {
        $call = $call->withDefaultKey($this->jobs->for($call));

        if (in_array($this->transport->name(), self::AT_ONCE, true)) {
            return $this->transport->send($call);
        }

        if ($outbox ?? $this->settings->outbox->enabled) {
            return $this->byOutbox($call);
        }

        return ($afterCommit ?? $this->settings->afterCommit) ? $this->afterCommit($call) : $this->transport->send($call);
    }

    /**
     * Asks for the hub's own answer; when it does not come in time the agent keeps the call.
     */
    public function waitFor(Call $call, int $seconds): Reply
    {
        $call = $call->withDefaultKey($this->jobs->for($call));
        // The agent gives the hub five seconds more than that; its answer comes first.
        $waiting = new Call($call->method, $call->path, $call->body, $call->headers + ['Prefer' => "wait=$seconds"], $call->timeoutMs ?? ($seconds + 6) * 1000);

        try {
            return $this->transport->send($waiting);
        } catch (HubUnavailable|OutcomeUnknown $failure) {
            if ($this->transport->name() === 'http') {
                throw $failure;
            }

            return $this->transport->send($waiting->withoutHeader('Prefer'));
        }
    }

    private function byOutbox(Call $call): Reply
    {
        $outbox = $this->app->make(Outbox::class);
        $position = $outbox->put($call);

        if ($this->settings->outbox->atOnce) {
            // What stays behind is for the scheduler.
            $this->whenCommitted(fn () => $this->guarded(fn () => $outbox->send($position)));
        }

        return new Reply(202, ['id' => $call->id(), 'status' => 'outbox']);
    }

    private function afterCommit(Call $call): Reply
    {
        $reply = null;
        $waiting = false;

        $this->whenCommitted(function () use ($call, &$reply, &$waiting): void {
            if ($waiting) {
                $this->guarded(fn () => $this->transport->send($call));
            } else {
                $reply = $this->transport->send($call);
            }
        });

        $waiting = true;

        return $reply ?? new Reply(202, ['id' => $call->id(), 'status' => 'after_commit']);
    }

    /**
     * Now, when there is no transaction.
     */
    private function whenCommitted(Closure $callback): void
    {
        if ($this->app->bound('db.transactions')) {
            $this->app->make('db.transactions')->addCallback($callback);
        } else {
            $callback();
        }
    }

    /**
     * The transaction is done: an exception from here would look as if it had not been.
     */
    private function guarded(Closure $callback): void
    {
        try {
            $callback();
        } catch (Throwable $exception) {
            report($exception);
        }
    }
}
