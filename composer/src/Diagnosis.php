<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

use Throwable;
use Trastienda\Exception\Unauthorized;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Transports\ExtensionTransport;
use Trastienda\Laravel\Transports\HttpTransport;
use Trastienda\Laravel\Transports\SocketTransport;
use Trastienda\Laravel\Transports\TransportChooser;
use Trastienda\Laravel\Wire\Call;

/**
 * Asks each part of the way whether it is there, on its own, and reports. Never throws.
 */
final class Diagnosis
{
    public function __construct(
        private readonly Settings $settings,
        private readonly Extension $extension,
        private readonly TransportChooser $chooser,
    ) {
    }

    /**
     * @return array{enabled: bool, transport: ?string, transport_error: ?string, extension: array<string, mixed>, agent: array<string, mixed>, hub: array<string, mixed>, key_last_four: ?string, reachable: bool}
     */
    public function run(): array
    {
        [$transport, $error] = $this->transport();
        $agent = $this->agent($transport);
        $hub = $this->hub();

        return [
            'enabled' => $this->settings->enabled,
            'transport' => $transport?->name(),
            'transport_error' => $error,
            'extension' => [
                'loaded' => $this->extension->isLoaded(),
                'usable' => $this->extension->isUsable(),
                'version' => $this->extension->version(),
                'socket' => $this->extension->isLoaded() ? $this->extension->socket() : null,
            ],
            'agent' => $agent,
            'hub' => $hub,
            'key_last_four' => $this->settings->keyLastFour(),
            'reachable' => $agent['reachable'] === true || $hub['accepted'] === true,
        ];
    }

    /**
     * @return array{?Transport, ?string}
     */
    private function transport(): array
    {
        try {
            return [$this->chooser->choose(), null];
        } catch (Throwable $exception) {
            return [null, $exception->getMessage()];
        }
    }

    /**
     * @return array<string, mixed>
     */
    private function agent(?Transport $transport): array
    {
        $native = $transport?->name() === 'extension';
        $report = ['reachable' => false, 'socket' => $native ? $this->extension->socket() : $this->settings->socketPath(), 'error' => null];

        try {
            $status = $native
                ? (new ExtensionTransport())->status()
                : (new SocketTransport($this->settings))->send(new Call('GET', '/agent/status'))->body;
        } catch (Throwable $exception) {
            return ['error' => $exception->getMessage()] + $report;
        }

        return ['reachable' => true] + $report + $status;
    }

    /**
     * @return array<string, mixed>
     */
    private function hub(): array
    {
        $report = ['configured' => $this->settings->canReachHub(), 'reachable' => false, 'accepted' => false, 'url' => $this->settings->url, 'project' => null, 'error' => null];

        if (! $report['configured']) {
            return $report;
        }

        try {
            $project = (new HttpTransport($this->settings))->send(new Call('GET', '/v1/project'))->body;
        } catch (Unauthorized $exception) {
            return ['reachable' => true, 'error' => $exception->getMessage()] + $report;
        } catch (Throwable $exception) {
            return ['error' => $exception->getMessage()] + $report;
        }

        return ['reachable' => true, 'accepted' => true, 'project' => is_string($project['name'] ?? null) ? $project['name'] : null] + $report;
    }
}
