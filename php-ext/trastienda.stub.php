<?php

/**
 * What the extension `trastienda` gives to PHP, for editors and static analysis. Not to be loaded.
 * A test holds this file to what the loaded extension says of itself.
 */

namespace {
    /**
     * Reports an event, and returns its id once it is safe on this host's disk.
     *
     * Options: `id` (an `evt_` id of one's own), `idempotency_key`, `timeout_ms` (instead of
     * `trastienda.timeout_ms`). A repeated key gives the id of the event that it made first. With
     * `trastienda.enabled=0` nothing is sent, and an id is returned all the same.
     *
     * @param string $type dotted lower case, as `order.created`
     * @param array<string, mixed> $data an empty array is an empty object; deeper down, `json_encode` decides
     * @param array{id?: ?string, idempotency_key?: ?string, timeout_ms?: ?int}|null $options
     *
     * @throws \Trastienda\Exception\AgentUnavailable nothing was handed over
     * @throws \Trastienda\Exception\OutcomeUnknown it was, and no answer came in time
     * @throws \Trastienda\Exception\TrastiendaException any other refusal
     */
    function trastienda_event(string $type, array $data, ?array $options = null): string {}

    /**
     * Sends an e-mail, or makes a WhatsApp link.
     *
     * Besides those of an event there is the option `wait`: true, or a number of seconds, waits for the
     * hub's own answer within `trastienda.sync_timeout_ms` (needed to get `whatsapp.link` at once).
     * With `trastienda.enabled=0` the answer's `status` is `disabled`.
     *
     * @param array<string, mixed> $notification as the API takes it; an `id` in it is kept
     * @param array{id?: ?string, idempotency_key?: ?string, timeout_ms?: ?int, wait?: bool|int|null}|null $options
     *
     * @return array{id: string, channel: string, status: string, whatsapp?: array{link: string, open_url: string}}
     *
     * @throws \Trastienda\Exception\TrastiendaException
     */
    function trastienda_notify(array $notification, ?array $options = null): array {}

    /**
     * Starts a payment and waits for what the provider says, within `trastienda.sync_timeout_ms`.
     *
     * The option `idempotency_key` is required. `wait` (seconds) shortens the wait; false does not wait
     * at all, and lets the agent keep the payment while the hub is away.
     *
     * @param array<string, mixed> $payment as the API takes it; an `id` in it is kept
     * @param array{idempotency_key: string, id?: ?string, timeout_ms?: ?int, wait?: bool|int|null}|null $options
     *
     * @return array<string, mixed> the payment; `status` is `pending`, `paid` or `failed`
     *
     * @throws \Trastienda\Exception\OutcomeUnknown the payment may exist: ask for it by the exception's id()
     * @throws \Trastienda\Exception\TrastiendaException
     */
    function trastienda_payment_create(array $payment, ?array $options = null): array {}

    /**
     * Reads a payment with its timeline.
     *
     * @return array<string, mixed>
     *
     * @throws \Trastienda\Exception\TrastiendaException
     */
    function trastienda_payment_get(string $id): array {}

    /**
     * Whether a feature is on for this project, from the agent's cache. Never throws: whatever keeps it
     * from an answer, it is the default.
     */
    function trastienda_feature(string $flag, bool $default = false): bool {}

    /**
     * Makes any other call of the API, within `trastienda.sync_timeout_ms`.
     *
     * Whatever the answer's status, it is returned; only the lack of an answer is an exception. The
     * body is an array when it is JSON, null when it is empty, and text otherwise. A call that is not
     * idempotent by its method is only repeated on a broken connection if it has an `Idempotency-Key`.
     *
     * @param array<mixed>|null $body sent as JSON; an empty array is an empty object
     * @param array<string, string|int|list<string|int>>|null $headers
     *
     * @return array{status: int, headers: array<string, string|list<string>>, body: array<mixed>|string|null}
     *
     * @throws \Trastienda\Exception\AgentUnavailable
     * @throws \Trastienda\Exception\OutcomeUnknown
     * @throws \Trastienda\Exception\InvalidRequest
     */
    function trastienda_request(string $method, string $path, ?array $body = null, ?array $headers = null): array {}

    /**
     * Checks that a webhook was signed with one of the secrets, lately, and returns its decoded body.
     * Needs no agent, and works when the extension is switched off.
     *
     * @param string $payload the body exactly as received
     * @param array<string, string|int|list<string|int>> $headers names in any case
     * @param string|list<string> $secret several while one is being rotated
     * @param int $tolerance in seconds, both ways
     *
     * @return array<string, mixed>
     *
     * @throws \Trastienda\Exception\InvalidSignature it is not to be believed
     * @throws \Trastienda\Exception\InvalidRequest the secret is none, or the signed body is not JSON
     */
    function trastienda_verify_webhook(string $payload, array $headers, string|array $secret, int $tolerance = 300): array {}

    /**
     * How the agent is: whether it reaches the hub, what it holds back.
     *
     * @return array{hub: string, buffered: int, oldest_seconds: int|float|null, dead_letters: int, disk_bytes: int, version: string}
     *
     * @throws \Trastienda\Exception\TrastiendaException
     */
    function trastienda_status(): array {}
}

namespace Trastienda\Exception {
    /** Whatever goes wrong. getMessage() is the problem's detail, getCode() its HTTP status (0: there was no answer). */
    class TrastiendaException extends \RuntimeException
    {
        /** @var string|null */
        protected $problemCode = null;

        /** @var string|null */
        protected $requestId = null;

        /** The problem's stable code, as `quota_exceeded`; null when there was no answer. */
        public function problemCode(): ?string {}

        /** The request id of the answer, to look for in the logs of agent and hub. */
        public function requestId(): ?string {}
    }

    /** The agent was not reached, or never had the whole request: nothing has happened. */
    class AgentUnavailable extends TrastiendaException {}

    /** The agent or the hub failed, or the hub is away and the call cannot be kept for later. */
    class HubUnavailable extends TrastiendaException {}

    /** The call is refused for what it says; repeating it changes nothing. */
    class InvalidRequest extends TrastiendaException
    {
        /** @var list<array{pointer: string, message: string}>|null */
        protected $errors = null;

        /**
         * What is wrong with which field, all at once.
         *
         * @return list<array{pointer: string, message: string}>
         */
        public function errors(): array {}
    }

    /** The agent's key is not good, or its project is inactive. */
    class Unauthorized extends TrastiendaException {}

    /** Too many calls, or the day's quota is used up. */
    class RateLimited extends TrastiendaException
    {
        /** @var int|null */
        protected $retryAfter = null;

        /** Seconds to wait before another try, if the answer says. */
        public function retryAfter(): ?int {}
    }

    /** The agent's buffer is at its limit: the call was not taken. */
    class BufferFull extends TrastiendaException {}

    /** A webhook is not to be believed. */
    class InvalidSignature extends TrastiendaException {}

    /** The call was handed over and no answer came: it may have happened. Repeat it with this id, or ask. */
    class OutcomeUnknown extends TrastiendaException
    {
        /** @var string|null */
        protected $id = null;

        /** The id that the thing has, if it exists; empty when the call makes nothing with an id. */
        public function id(): string {}
    }
}
