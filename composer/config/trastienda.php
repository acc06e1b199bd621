<?php

declare(strict_types=1);

return [
    // Whether this shop talks to Trastienda at all. When false, events and
    // notifications are dropped with an id, features answer their default and
    // payments refuse to start: useful in a test suite or during an import.
    'enabled' => (bool) env('TRASTIENDA_ENABLED', true),

    // The project's API key, as the hub showed it once: `tk_live_…` or `tk_test_…`.
    // Needed to reach the hub directly. Sent to the agent too, which refuses it when
    // it belongs to another project, so that no shop can speak for its neighbour.
    'key' => env('TRASTIENDA_API_KEY'),

    // The hub's address, for instance `https://hub.example.com`, or the agent's TCP
    // door: both speak the same contract. Without it there is no way round an agent
    // that is down, and calls end in `AgentUnavailable`.
    'url' => env('TRASTIENDA_URL'),

    // The agent's Unix socket. Left out, the extension uses its own php.ini setting and
    // the socket transport looks at `/run/trastienda/agent.sock`. With several shops on
    // one host, each has its own.
    'socket' => env('TRASTIENDA_SOCKET'),

    // How calls leave PHP: `extension`, `socket`, `http`, `null`, `log` (only the shop's log
    // hears of them), or `auto`, which takes the first of the first three that is there.
    // Naming one means that one and no other (besides the fallback below).
    'transport' => env('TRASTIENDA_TRANSPORT', 'auto'),

    // What to do when the agent does not answer: `http` goes straight to the hub with
    // the same id (when `url` and `key` are set), `queue` hands events and notifications
    // to Laravel's queue, `throw` leaves the decision to the caller.
    'fallback' => 'http',

    // Which queue the fallback `queue` uses; null: Laravel's default. Its workers try the
    // agent, then the hub, and later again for about a day. The job is encrypted, since
    // it may name customers.
    'queue' => [
        'connection' => null,
        'name' => null,
    ],

    // Whether what is said inside a database transaction leaves only after it commits, and
    // not at all if it does not. What goes wrong then is reported and not thrown, since
    // the transaction is over. A single call may say otherwise with `after_commit`.
    'after_commit' => true,

    // The outbox: events and notifications are written to a table of the shop's own database
    // within its transaction, so that commit and send are one, and handed on by the
    // scheduler (`php artisan schedule:run`) each minute; with `at_once` also right after
    // the commit. Put it beside the shop's orders. A single call may ask for it with `outbox`.
    'outbox' => [
        'enabled' => false,
        'table' => 'trastienda_outbox',
        'connection' => null,
        'at_once' => true,
    ],

    // Milliseconds PHP may lose: to connect to the agent, for the agent to put a call on
    // its disk, for the hub to take one, and for calls that wait for an outcome (payments,
    // `wait`; the hub is asked to wait less). The extension has the first two in php.ini.
    'timeouts' => [
        'connect' => 50,
        'local' => 1000,
        'hub_connect' => 2000,
        'hub' => 5000,
        'sync' => 15000,
    ],

    // Seconds for which a feature flag's answer is kept in the shop's cache, so that a
    // page with ten flags does not cost ten calls. Zero asks each time. The extension
    // does not need it: it answers from the agent's own copy.
    'feature_ttl' => 30,

    // The currency of a model's payments (`HasPayments`) when the model has none of its
    // own, by its ISO code: ARS, BRL, CLP, COP, MXN, PEN or UYU. It has to be the one of
    // the project's Mercado Pago account.
    'currency' => 'ARS',

    // Where Mercado Pago's simulator listens, for `php artisan trastienda:trigger` on a
    // laptop, which has it pay, reject or refund. Nothing else looks at this: how the hub
    // reaches Mercado Pago is the hub's own setting.
    'simulator' => env('TRASTIENDA_SIMULATOR_URL', 'http://127.0.0.1:8090'),

    'webhooks' => [

        // The secrets of the endpoints that point at this shop, `whsec_…`, separated by
        // commas. While a secret is being rotated both old and new belong here; any one
        // that matches is enough.
        'secret' => env('TRASTIENDA_WEBHOOK_SECRET'),

        // How far, in seconds, a webhook's timestamp may be from this host's clock, to
        // either side. Older ones are refused as replays. Keep the clock synchronised
        // before making this larger.
        'tolerance' => 300,

        // Whether a replay that the operator asked for reaches the listeners again even
        // though the event was already handled here. Off, a duplicate is a duplicate;
        // on, each replay is handled once, so listeners must bear repetition.
        'handle_replays' => false,

        // Whether the listeners run in a queued job instead of in the hub's request: false,
        // true (the default queue), or a queue's name. The connection is Laravel's default
        // when it is null.
        'queue' => false,
        'queue_connection' => null,

        // Classes for the shop's own event types: `'stock.low' => App\Events\StockLow::class`,
        // each extending `Trastienda\Laravel\Webhooks\Events\WebhookEvent`. The hub's own
        // types have theirs already.
        'events' => [],

        // The table that remembers which webhooks were handled, and its connection (null:
        // the default one). Put it beside the shop's orders: the row and whatever the
        // listeners write there commit together or not at all.
        'table' => 'trastienda_webhooks',
        'connection' => null,

    ],

];
