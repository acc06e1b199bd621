--TEST--
A body over its limit is refused without being sent
--INI--
memory_limit=256M
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start([]);

show(fn () => trastienda_event('a.b', ['x' => str_repeat('x', 256 * 1024)]));
show(fn () => trastienda_payment_create(['x' => str_repeat('x', 256 * 1024)], ['idempotency_key' => 'k']));
show(fn () => trastienda_notify(['x' => str_repeat('x', 10 * 1024 * 1024)]));
show(fn () => trastienda_request('POST', '/v1/batch', ['x' => str_repeat('x', 16 * 1024 * 1024)]));
check('nothing was sent', $agent->unseen() === 0);
trastienda_event('a.b', ['x' => str_repeat('x', 255 * 1024)]);
trastienda_notify(['channel' => 'email', 'x' => str_repeat('x', 9 * 1024 * 1024)], ['timeout_ms' => 20000]);
check('just below is', $agent->request()['size'] > 255 * 1024 && $agent->request()['size'] > 9 * 1024 * 1024);
?>
--EXPECT--
InvalidRequest 413: the body may have at most 262144 bytes
InvalidRequest 413: the body may have at most 262144 bytes
InvalidRequest 413: the body may have at most 10485760 bytes
InvalidRequest 413: the body may have at most 16777216 bytes
nothing was sent: yes
just below is: yes
