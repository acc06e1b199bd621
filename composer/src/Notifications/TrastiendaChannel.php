<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Notifications;

use Illuminate\Contracts\Translation\HasLocalePreference;
use Illuminate\Notifications\Notification;
use InvalidArgumentException;
use Trastienda\Laravel\Trastienda;

/**
 * The channel `trastienda`: `via()` names it, `toTrastienda($notifiable)` says what, as one
 * `TrastiendaMessage`, as an array of the API, or as a list of either.
 *
 * To whom: the message's `to()`, the notifiable's `routeNotificationForTrastienda()` (a text, or
 * an array by channel), its route for `mail` or `whatsapp`, or its `email` or `phone`. Without one
 * nothing is sent. Laravel keeps a notification's id through its attempts, which makes a repeat the same.
 */
final class TrastiendaChannel
{
    public function __construct(private readonly Trastienda $trastienda)
    {
    }

    /**
     * @return list<array<array-key, mixed>> what the agent or the hub answered
     */
    public function send(mixed $notifiable, Notification $notification): array
    {
        if (! method_exists($notification, 'toTrastienda')) {
            throw new InvalidArgumentException($notification::class.' has no toTrastienda().');
        }

        $messages = $notification->toTrastienda($notifiable);
        $messages = is_array($messages) && array_is_list($messages) ? $messages : [$messages];
        $answers = [];

        foreach ($messages as $at => $message) {
            $body = $message instanceof TrastiendaMessage ? $message->toArray() : (array) $message;
            $options = $message instanceof TrastiendaMessage ? $message->options() : [];
            $body['to'] ??= $this->address($notifiable, $notification, (string) ($body['channel'] ?? 'email'));
            $body += ['channel' => 'email'] + array_filter(['locale' => $this->locale($notifiable, $notification, $body)]);

            if (! is_string($body['to']) || $body['to'] === '') {
                continue;
            }

            if (isset($notification->id) && ! isset($options['idempotency_key'], $options['attempt']) && ! isset($body['order_id'], $body['template'])) {
                $options += ['idempotency_key' => "notification-$notification->id-$at-".substr(hash('sha256', $body['to']), 0, 16)];
            }

            $answers[] = $this->trastienda->notify($body, $options);
        }

        return $answers;
    }

    private function address(mixed $notifiable, Notification $notification, string $channel): ?string
    {
        $routes = ['trastienda', ...($channel === 'whatsapp' ? ['whatsapp', 'phone'] : ['mail'])];

        foreach ($routes as $route) {
            $address = is_object($notifiable) && method_exists($notifiable, 'routeNotificationFor') ? $notifiable->routeNotificationFor($route, $notification) : null;

            if (is_array($address)) {
                // By channel; or, as for mail, [address => name] or a list.
                $address = $address[$channel] ?? ($route === 'trastienda' ? null : (is_string(key($address)) ? key($address) : reset($address)));
            }

            if (is_string($address) && $address !== '') {
                return $address;
            }
        }

        $attribute = $channel === 'whatsapp' ? ($notifiable->phone ?? null) : ($notifiable->email ?? null);

        return is_string($attribute) ? $attribute : null;
    }

    /**
     * A text of its own has no need of a locale.
     *
     * @param  array<array-key, mixed>  $body
     */
    private function locale(mixed $notifiable, Notification $notification, array $body): ?string
    {
        if (! isset($body['template']) || isset($body['locale'])) {
            return null;
        }

        $locale = $notification->locale ?? ($notifiable instanceof HasLocalePreference ? $notifiable->preferredLocale() : null);

        return is_string($locale) && $locale !== '' ? strtr($locale, '_', '-') : null;
    }
}
