<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks\Events;

/**
 * `notification.sent`: a mail was taken by the SMTP server, or a WhatsApp link was opened.
 */
final class NotificationSent extends NotificationEvent
{
}
