<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks\Events;

/**
 * Something about a notification.
 */
abstract class NotificationEvent extends WebhookEvent
{
    public function notificationId(): ?string
    {
        return $this->text('notification_id');
    }

    /**
     * `email` or `whatsapp`.
     */
    public function channel(): ?string
    {
        return $this->text('channel');
    }

    /**
     * Beneath the status: `opened`, `rejected`, `gave_up`, `expired`, `suppressed`, ….
     */
    public function detail(): ?string
    {
        return $this->text('detail');
    }
}
