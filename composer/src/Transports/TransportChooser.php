<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Transports;

use Illuminate\Contracts\Bus\Dispatcher;
use Illuminate\Contracts\Container\Container;
use Psr\Log\LoggerInterface;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Exceptions\InvalidConfig;
use Trastienda\Laravel\Extension;
use Trastienda\Laravel\Settings;

/**
 * Decides which way calls leave, from the settings and from what is there.
 */
final class TransportChooser
{
    public function __construct(
        private readonly Settings $settings,
        private readonly Extension $extension,
        private readonly LoggerInterface $log,
        private readonly Container $app,
        private readonly bool $mayQueue = true,
    ) {
    }

    /**
     * @throws InvalidConfig
     */
    public function withoutQueue(): Transport
    {
        return (new self($this->settings, $this->extension, $this->log, $this->app, mayQueue: false))->choose();
    }

    /**
     * @throws InvalidConfig
     */
    public function choose(): Transport
    {
        $this->settings->check();

        if (! $this->settings->enabled) {
            return new NullTransport();
        }

        return match ($this->settings->transport) {
            'null' => new NullTransport(),
            'log' => new LogTransport($this->log),
            'extension' => $this->withFallback($this->extension()),
            'socket' => $this->withFallback(new SocketTransport($this->settings)),
            'http' => $this->withQueue(new HttpTransport($this->settings)),
            default => $this->automatic(),
        };
    }

    private function automatic(): Transport
    {
        return match (true) {
            $this->extension->isUsable() && $this->extension->aimAt($this->settings->socket) => $this->withFallback(new ExtensionTransport()),
            file_exists($this->settings->socketPath()) => $this->withFallback(new SocketTransport($this->settings)),
            $this->settings->canReachHub() => $this->withQueue(new HttpTransport($this->settings)),
            // Nothing is there. The agent is the one that ought to be, so its absence is
            // what the caller hears about.
            default => $this->withQueue(new SocketTransport($this->settings)),
        };
    }

    private function extension(): ExtensionTransport
    {
        if (! $this->extension->isUsable()) {
            throw InvalidConfig::extensionMissing();
        }

        if (! $this->extension->aimAt($this->settings->socket)) {
            throw InvalidConfig::extensionElsewhere((string) $this->settings->socket, $this->extension->socket());
        }

        return new ExtensionTransport();
    }

    private function withFallback(Transport $agent): Transport
    {
        // A queued call has waited already: whoever can take it may have it.
        $mayGoRound = $this->settings->fallback === 'http' || ($this->settings->fallback === 'queue' && ! $this->mayQueue);

        return $mayGoRound && $this->settings->canReachHub()
            ? new FallbackTransport($agent, new HttpTransport($this->settings), $this->log)
            : $this->withQueue($agent);
    }

    private function withQueue(Transport $first): Transport
    {
        return $this->mayQueue && $this->settings->fallback === 'queue'
            ? new QueueTransport($first, $this->app->make(Dispatcher::class), $this->settings->queue, $this->log)
            : $first;
    }
}
