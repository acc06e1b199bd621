<?php

declare(strict_types=1);

// The extension's functions, in the namespace that calls them: PHP looks here first. They
// write down their arguments; what the real ones do is proved where the real one is loaded.

namespace Trastienda\Laravel\Transports;

use Trastienda\Laravel\Tests\Support\ExtensionCalls;

function trastienda_event(string $type, array $data, ?array $options = null): string
{
    return ExtensionCalls::record('event', [$type, $data, $options], $options['id'] ?? 'evt_native');
}

function trastienda_notify(array $notification, ?array $options = null): array
{
    return ExtensionCalls::record('notify', [$notification, $options], ['id' => $options['id'] ?? 'ntf_native', 'status' => 'pending']);
}

function trastienda_payment_create(array $payment, ?array $options = null): array
{
    return ExtensionCalls::record('payment_create', [$payment, $options], ['id' => $options['id'] ?? 'pay_native', 'status' => 'pending']);
}

function trastienda_payment_get(string $id): array
{
    return ExtensionCalls::record('payment_get', [$id], ['id' => $id, 'status' => 'paid']);
}

function trastienda_feature(string $flag, bool $default = false): bool
{
    return ExtensionCalls::record('feature', [$flag, $default], ! $default);
}

function trastienda_request(string $method, string $path, ?array $body = null, ?array $headers = null): array
{
    return ExtensionCalls::record('request', [$method, $path, $body, $headers], ExtensionCalls::$answer ?? ['status' => 200, 'headers' => [], 'body' => ['id' => $body['id'] ?? null]]);
}

function trastienda_status(): array
{
    return ExtensionCalls::record('status', [], ['hub' => 'up', 'buffered' => 0]);
}
