<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

/**
 * The section of `php artisan about`.
 */
final class About
{
    /**
     * @param  array<string, mixed>  $status  what `Diagnosis` found
     * @return array<string, string>
     */
    public static function lines(array $status): array
    {
        $agent = (array) $status['agent'];
        $hub = (array) $status['hub'];
        $buffered = $agent['buffered'] ?? null;

        return [
            'Enabled' => $status['enabled'] ? 'yes' : 'no',
            'Transport' => (string) ($status['transport'] ?? $status['transport_error']),
            'Extension' => $status['extension']['usable'] ? (string) ($status['extension']['version'] ?? 'loaded') : 'not used',
            'Agent' => $agent['reachable'] ? 'up'.(is_int($buffered) ? ", $buffered buffered" : '') : 'not reached',
            'Hub' => match (true) {
                ! $hub['configured'] => 'no address',
                $hub['accepted'] => 'up'.(is_string($hub['project']) ? " ({$hub['project']})" : ''),
                $hub['reachable'] => 'refuses the key',
                default => 'not reached',
            },
            'Key' => $status['key_last_four'] === null ? 'not set' : "…{$status['key_last_four']}",
        ];
    }
}
