--TEST--
A repeated idempotency key gives the id of the event that it made first
--FILE--
<?php
require __DIR__ . '/agent.inc';
$first = 'evt_0192f0c1d2e37a4b8c5d6e7f8091a2b3';
$agent = StubAgent::start(['body' => ['id' => $first, 'type' => 'a.b'], 'headers' => ['Idempotent-Replayed' => 'true']]);

check('it is the first id', trastienda_event('a.b', [], ['idempotency_key' => 'k']) === $first);
?>
--EXPECT--
it is the first id: yes
