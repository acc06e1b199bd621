<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Features;

use Illuminate\Contracts\Cache\Repository;
use Throwable;
use Trastienda\Exception\InvalidRequest;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Contracts\AnswersFeatures;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Wire\Call;

/**
 * The project's feature flags. A flag decides how a page looks, so asking for one never
 * breaks the page: whatever goes wrong, the default answers.
 */
final class Features
{
    private const UNKNOWN = 'unknown';

    private const PAUSE = 5;

    private const LAST = 7 * 24 * 3600;

    public function __construct(
        private readonly Transport $transport,
        private readonly ?Repository $cache,
        private readonly int $ttl,
        private readonly string $project,
    ) {
    }

    public function enabled(string $flag, bool $default = false): bool
    {
        return $this->answer($flag, $default) ?? $default;
    }

    /**
     * What the project says of the flag; null when it does not, or nobody can be asked.
     */
    public function known(string $flag): ?bool
    {
        // A transport that knows the flags answers with the default it is given: a flag that it
        // does not know is the one that follows the default.
        $on = $this->answer($flag, true);
        $off = $this->answer($flag, false);

        return $on === $off ? $on : null;
    }

    /**
     * Asks anew next time.
     */
    public function forget(string $flag): void
    {
        try {
            $this->cache?->forget($this->name($flag));
        } catch (Throwable) {
        }
    }

    private function answer(string $flag, bool $default): ?bool
    {
        try {
            if ($this->transport instanceof AnswersFeatures) {
                $known = $this->transport->feature($flag, $default);

                if ($known !== null) {
                    return $known;
                }
            }

            $answer = $this->remembered($flag);
        } catch (Throwable) {
            return null;
        }

        return match ($answer) {
            'on' => true,
            'off' => false,
            default => null,
        };
    }

    private function name(string $flag): string
    {
        return 'trastienda:feature:'.hash('sha256', $this->project."\n".$flag);
    }

    private function remembered(string $flag): string
    {
        $cache = $this->cache;

        if ($cache === null || $this->ttl === 0) {
            return $this->ask($flag);
        }

        $name = $this->name($flag);
        $known = $cache->get($name);

        if (is_string($known)) {
            return $known;
        }

        try {
            $answer = $this->ask($flag);
        } catch (TrastiendaException) {
            // The last that was known, and for some seconds nobody asks again: a page with ten
            // flags must not wait ten times for a hub that is away.
            $last = $cache->get("$name:last");
            $answer = is_string($last) ? $last : self::UNKNOWN;
            $cache->put($name, $answer, min($this->ttl, self::PAUSE));

            return $answer;
        }

        $cache->put($name, $answer, $this->ttl);
        $cache->put("$name:last", $answer, self::LAST);

        return $answer;
    }

    private function ask(string $flag): string
    {
        try {
            $reply = $this->transport->send(new Call('GET', '/v1/features/'.rawurlencode($flag)));
        } catch (InvalidRequest $exception) {
            if ($exception->getCode() === 404) {
                return self::UNKNOWN;
            }

            throw $exception;
        }

        $enabled = $reply->body['enabled'] ?? null;

        return is_bool($enabled) ? ($enabled ? 'on' : 'off') : self::UNKNOWN;
    }
}
