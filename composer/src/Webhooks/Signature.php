<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

use SensitiveParameter;
use Trastienda\Exception\InvalidSignature;
use Trastienda\Laravel\Exceptions\InvalidConfig;

/**
 * Standard Webhooks: `v1,<base64 HMAC-SHA256 of id.timestamp.body>`.
 *
 * Pure: the clock is an argument. Any of the secrets may match any of the signatures, so
 * that a rotation loses nothing; every comparison takes the same time whatever it finds.
 */
final class Signature
{
    /**
     * @param  non-empty-list<string>  $keys  the secrets' bytes
     */
    private function __construct(#[SensitiveParameter] private readonly array $keys, private readonly int $tolerance)
    {
    }

    /**
     * @param  string|list<string>|null  $secrets  `whsec_…`, several separated by commas
     */
    public static function withSecrets(#[SensitiveParameter] string|array|null $secrets, int $tolerance = 300): self
    {
        $keys = [];

        foreach (is_array($secrets) ? $secrets : explode(',', (string) $secrets) as $secret) {
            $secret = trim($secret);

            if ($secret === '') {
                continue;
            }

            $key = str_starts_with($secret, 'whsec_') ? base64_decode(substr($secret, 6), true) : false;

            if ($key === false || $key === '') {
                throw InvalidConfig::badWebhookSecret();
            }

            $keys[] = $key;
        }

        return $keys === [] ? throw InvalidConfig::missingWebhookSecret() : new self($keys, $tolerance);
    }

    /**
     * @throws InvalidSignature when the hub did not sign this, or not lately
     */
    public function verify(string $id, string $timestamp, string $signatures, string $body, int $now): void
    {
        if ($id === '' || $timestamp === '' || $signatures === '') {
            throw new InvalidSignature('A webhook needs webhook-id, webhook-timestamp and webhook-signature.');
        }

        if (preg_match('/^[0-9]{1,12}$/', $timestamp) !== 1) {
            throw new InvalidSignature('webhook-timestamp is not a number of seconds.');
        }

        if ((int) $timestamp < $now - $this->tolerance) {
            throw new InvalidSignature('webhook-timestamp is too old.');
        }

        if ((int) $timestamp > $now + $this->tolerance) {
            throw new InvalidSignature('webhook-timestamp is in the future.');
        }

        if (! $this->matches("$id.$timestamp.$body", $signatures)) {
            throw new InvalidSignature('No signature matches.');
        }
    }

    private function matches(string $content, string $signatures): bool
    {
        $matched = false;

        foreach (array_slice(explode(' ', $signatures), 0, 16) as $signature) {
            [$version, $given] = explode(',', $signature, 2) + [1 => ''];

            if ($version !== 'v1') {
                continue;
            }

            foreach ($this->keys as $key) {
                $matched = hash_equals(base64_encode(hash_hmac('sha256', $content, $key, true)), $given) || $matched;
            }
        }

        return $matched;
    }
}
