<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Features;

use Illuminate\Contracts\Cache\Repository;
use Throwable;
use Trastienda\Exception\InvalidRequest;
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

    public function __construct(
        private readonly Transport $transport,
        private readonly ?Repository $cache,
        private readonly int $ttl,
        private readonly string $project,
    ) {
    }

    public function enabled(string $flag, bool $default = false): bool
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
            return $default;
        }

        return match ($answer) {
            'on' => true,
            'off' => false,
            default => $default,
        };
    }

    private function remembered(string $flag): string
    {
        if ($this->cache === null || $this->ttl === 0) {
            return $this->ask($flag);
        }

        $name = 'trastienda:feature:'.hash('sha256', $this->project."\n".$flag);
        $known = $this->cache->get($name);

        if (is_string($known)) {
            return $known;
        }

        $answer = $this->ask($flag);
        $this->cache->put($name, $answer, $this->ttl);

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
