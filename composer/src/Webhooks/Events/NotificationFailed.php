<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks\Events;

/**
 * `notification.failed`: a notification was given up; `detail()` says why.
 */
final class NotificationFailed extends NotificationEvent
{
}
