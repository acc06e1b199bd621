<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Queue;

use Trastienda\Laravel\Wire\Call;

/**
 * Makes what a queued job sends safe to repeat.
 *
 * A job that is tried again says everything again. Laravel keeps a job's uuid through its
 * attempts, so the uuid, what is said, and the how-manieth time it is said within one
 * attempt make a key: another attempt arrives at the same one, two equal calls of one
 * attempt do not.
 */
final class JobKeys
{
    /** @var list<array{uuid: string, said: array<string, int>}> jobs that run now, the innermost last */
    private array $running = [];

    public function begin(?string $uuid): void
    {
        if ($uuid !== null && $uuid !== '') {
            $this->running[] = ['uuid' => $uuid, 'said' => []];
        }
    }

    public function end(?string $uuid): void
    {
        foreach (array_reverse(array_keys($this->running)) as $at) {
            if ($this->running[$at]['uuid'] === $uuid) {
                // Whatever ran inside it and never said that it ended has ended too.
                $this->running = array_slice($this->running, 0, $at);

                return;
            }
        }
    }

    /**
     * The key of a call that has none; null outside a job.
     */
    public function for(Call $call): ?string
    {
        $at = array_key_last($this->running);

        if ($at === null) {
            return null;
        }

        $body = $call->body ?? [];
        unset($body['id']);
        $what = hash('sha256', $call->path."\n".serialize($body));
        $count = $this->running[$at]['said'][$what] = ($this->running[$at]['said'][$what] ?? 0) + 1;

        return 'job-'.hash('sha256', $this->running[$at]['uuid']."\n$what\n$count");
    }
}
