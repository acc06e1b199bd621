<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Webhooks;

use DateTimeImmutable;
use Throwable;

/**
 * A webhook that the hub signed, dispatched once per event.
 *
 * Also dispatched by name, `trastienda.order.paid` for the type `order.paid`, with this
 * object as its payload. An exception from a listener makes the hub deliver it again.
 */
final class WebhookReceived
{
    /**
     * @param  array<array-key, mixed>  $data
     * @param  string|null  $project  the project whose event it is
     * @param  string|null  $replay  the delivery that an operator asked to be sent again
     */
    public function __construct(
        public readonly string $id,
        public readonly string $type,
        public readonly array $data,
        public readonly ?string $project,
        public readonly DateTimeImmutable $timestamp,
        public readonly ?string $replay = null,
    ) {
    }

    /**
     * What a queue keeps.
     *
     * @return array{id: string, type: string, data: array<array-key, mixed>, project: string|null, timestamp: string, replay: string|null}
     */
    public function toArray(): array
    {
        return [
            'id' => $this->id,
            'type' => $this->type,
            'data' => $this->data,
            'project' => $this->project,
            'timestamp' => $this->timestamp->format('Y-m-d\TH:i:s.uP'),
            'replay' => $this->replay,
        ];
    }

    /**
     * @param  array{id: string, type: string, data: array<array-key, mixed>, project: string|null, timestamp: string, replay: string|null}  $kept
     */
    public static function fromArray(array $kept): self
    {
        return new self($kept['id'], $kept['type'], $kept['data'], $kept['project'], new DateTimeImmutable($kept['timestamp']), $kept['replay']);
    }

    /**
     * Reads a verified body; null when it is not an event.
     */
    public static function fromBody(string $id, string $sentAt, string $body, ?string $replay): ?self
    {
        $event = json_decode($body, true, 512, JSON_BIGINT_AS_STRING);
        $type = is_array($event) ? ($event['type'] ?? null) : null;

        if (! is_string($type) || $type === '' || ! is_array($event['data'] ?? null)) {
            return null;
        }

        try {
            $timestamp = new DateTimeImmutable(is_string($event['timestamp'] ?? null) ? $event['timestamp'] : "@$sentAt");
        } catch (Throwable) {
            $timestamp = new DateTimeImmutable("@$sentAt");
        }

        $project = is_string($event['project'] ?? null) ? $event['project'] : null;

        return new self($id, $type, $event['data'], $project, $timestamp, $replay);
    }
}
