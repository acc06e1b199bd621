<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

/**
 * The section of `php artisan about`.
 */
final class About
{
    /**
     * @return array<string, string>
     */
    public static function lines(StatusReport $status): array
    {
        $buffered = $status->int('agent.buffered');
        $project = $status->text('hub.project');

        return [
            'Enabled' => $status->is('enabled') ? 'yes' : 'no',
            'Transport' => $status->text('transport') ?? (string) $status->text('transport_error'),
            'Extension' => $status->is('extension.usable') ? $status->text('extension.version') ?? 'loaded' : 'not used',
            'Agent' => $status->is('agent.reachable') ? 'up'.($buffered === null ? '' : ", $buffered buffered") : 'not reached',
            'Hub' => match (true) {
                ! $status->is('hub.configured') => 'no address',
                $status->is('hub.accepted') => 'up'.($project === null ? '' : " ($project)"),
                $status->is('hub.reachable') => 'refuses the key',
                default => 'not reached',
            },
            'Key' => $status->text('key_last_four') === null ? 'not set' : "…{$status->text('key_last_four')}",
        ];
    }
}
