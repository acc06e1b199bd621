<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

/**
 * Whether the hub could reach an address from anywhere. Where it could not, the agent pulls.
 */
final class PublicAddress
{
    /** Names that never lead out of a machine or a private network (RFC 2606, 6761, 6762, 8375). */
    private const PRIVATE_ENDINGS = ['localhost', 'test', 'local', 'example', 'invalid', 'internal', 'lan', 'home', 'home.arpa'];

    public static function is(string $url): bool
    {
        $host = strtolower(trim((string) parse_url($url, PHP_URL_HOST), '[].'));

        if (filter_var($host, FILTER_VALIDATE_IP) !== false) {
            return filter_var($host, FILTER_VALIDATE_IP, FILTER_FLAG_NO_PRIV_RANGE | FILTER_FLAG_NO_RES_RANGE) !== false;
        }

        foreach (self::PRIVATE_ENDINGS as $ending) {
            if ($host === $ending || str_ends_with($host, ".$ending")) {
                return false;
            }
        }

        return str_contains($host, '.');
    }
}
