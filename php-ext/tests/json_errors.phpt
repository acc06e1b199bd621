--TEST--
What cannot be written as JSON is refused, and leaves no traces
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start([]);
json_decode('{broken');

show(fn () => trastienda_event('a.b', ['x' => "caf\xe9"]));
show(fn () => trastienda_event('a.b', ['x' => NAN]));
show(fn () => trastienda_event('a.b', ['x' => fopen('php://memory', 'r')]));
$loop = [];
$loop['self'] = &$loop;
show(fn () => trastienda_event('a.b', $loop));
$deep = [];
for ($n = 0; $n < 600; $n++) {
    $deep = [$deep];
}
show(fn () => trastienda_notify(['data' => $deep]));
check('json_last_error() is the shop\'s own', json_last_error() === JSON_ERROR_SYNTAX);
check('nothing was sent', $agent->unseen() === 0);
trastienda_event('a.b', ['still' => 'works']);
check('and the next call works', $agent->unseen() === 1);
?>
--EXPECT--
InvalidRequest 0: the data cannot be written as JSON: Malformed UTF-8 characters, possibly incorrectly encoded
InvalidRequest 0: the data cannot be written as JSON: Inf and NaN cannot be JSON encoded
InvalidRequest 0: the data cannot be written as JSON: Type is not supported
InvalidRequest 0: the data cannot be written as JSON: Recursion detected
InvalidRequest 0: the data cannot be written as JSON: Maximum stack depth exceeded
json_last_error() is the shop's own: yes
nothing was sent: yes
and the next call works: yes
