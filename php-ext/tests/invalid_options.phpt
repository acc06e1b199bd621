--TEST--
Options that are unknown or of the wrong kind are refused before anything is sent
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start([]);

show(fn () => trastienda_event('a.b', [], ['idempotencyKey' => 'k']));
show(fn () => trastienda_event('a.b', [], ['wait' => true]));
show(fn () => trastienda_event('a.b', [], ['id' => 'pay_0192f0c1d2e37a4b8c5d6e7f8091a2b3']));
show(fn () => trastienda_event('a.b', [], ['id' => 7]));
show(fn () => trastienda_event('a.b', [], ['idempotency_key' => "line\nbreak"]));
show(fn () => trastienda_event('a.b', [], ['timeout_ms' => 0]));
show(fn () => trastienda_event('a.b', [], ['timeout_ms' => '250']));
show(fn () => trastienda_event("a.\xff", []));
show(fn () => trastienda_notify(['channel' => 'email'], ['wait' => -1]));
show(fn () => trastienda_notify(['id' => 'ntf_1']));
print_r(thrown(fn () => trastienda_event('a.b', [], ['nope' => 1]))->errors());
check('nothing was sent', $agent->unseen() === 0);
?>
--EXPECT--
InvalidRequest 0: `/options/idempotencyKey` is not an option here; use `id`, `idempotency_key` or `timeout_ms`
InvalidRequest 0: `/options/wait` is not an option here; use `id`, `idempotency_key` or `timeout_ms`
InvalidRequest 0: `/options/id` must be `evt_` and a UUIDv7 in 32 lower-case hex digits
InvalidRequest 0: `/options/id` must be a string
InvalidRequest 400: `Idempotency-Key` must be 1 to 255 printable ASCII characters
InvalidRequest 0: `/options/timeout_ms` must be an integer from 1 to 3600000
InvalidRequest 0: `/options/timeout_ms` must be an integer from 1 to 3600000
InvalidRequest 0: `/type` must be valid UTF-8
InvalidRequest 0: `/options/wait` must be a boolean or a number of seconds
InvalidRequest 0: `/id` must be `ntf_` and a UUIDv7 in 32 lower-case hex digits
Array
(
    [0] => Array
        (
            [pointer] => /options/nope
            [message] => is not an option here; use `id`, `idempotency_key` or `timeout_ms`
        )

)
nothing was sent: yes
