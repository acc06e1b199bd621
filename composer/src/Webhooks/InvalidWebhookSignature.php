<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

/**
 * Dispatched when somebody knocked whom the hub did not send. The answer is always 401.
 *
 * Carries no body: what was not signed is not worth keeping.
 */
final class InvalidWebhookSignature
{
    public function __construct(
        public readonly string $reason,
        public readonly ?string $webhookId,
        public readonly ?string $ip,
    ) {
    }
}
