<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks\Events;

/**
 * `webhook.test`: the hub was asked to send a test.
 */
final class WebhookTested extends WebhookEvent
{
}
