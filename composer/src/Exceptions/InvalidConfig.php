<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Exceptions;

use InvalidArgumentException;

/**
 * `config/trastienda.php` or the environment asks for something that cannot work.
 */
final class InvalidConfig extends InvalidArgumentException
{
    public static function unknownTransport(string $name): self
    {
        return new self("TRASTIENDA_TRANSPORT is \"$name\"; it must be auto, extension, socket, http, log or null.");
    }

    public static function unknownFallback(string $name): self
    {
        return new self("trastienda.fallback is \"$name\"; it must be http, queue or throw.");
    }

    public static function badUrl(string $url): self
    {
        return new self("TRASTIENDA_URL is \"$url\"; it must begin with https:// or http:// and name a host.");
    }

    public static function badTimeout(string $name): self
    {
        return new self("trastienda.timeouts.$name must be a whole number of milliseconds, 1 or more.");
    }

    public static function extensionMissing(): self
    {
        return new self('TRASTIENDA_TRANSPORT is "extension", but the trastienda extension is not loaded or trastienda.enabled is off.');
    }

    public static function extensionElsewhere(string $wanted, string $actual): self
    {
        return new self("TRASTIENDA_SOCKET is \"$wanted\", but the extension is bound to \"$actual\" and cannot be moved from here: set trastienda.socket for this pool.");
    }

    public static function missingUrl(): self
    {
        return new self('TRASTIENDA_TRANSPORT is "http", but TRASTIENDA_URL or TRASTIENDA_API_KEY is not set.');
    }

    public static function notAWebhookEvent(string $type): self
    {
        return new self("trastienda.webhooks.events names a class for \"$type\" that does not extend WebhookEvent.");
    }

    public static function mailNeedsSymfony(): self
    {
        return new self('The mailer "trastienda" needs Symfony Mailer, which Laravel has since version 9.');
    }

    public static function missingWebhookSecret(): self
    {
        return new self('TRASTIENDA_WEBHOOK_SECRET is not set, so no webhook can be verified.');
    }

    public static function badWebhookSecret(): self
    {
        return new self('TRASTIENDA_WEBHOOK_SECRET holds something that is not whsec_ followed by base64.');
    }
}
