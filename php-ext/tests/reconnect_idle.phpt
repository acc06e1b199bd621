--TEST--
A kept connection that the agent has closed costs nothing
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(['then' => 'close'], []);

trastienda_event('a.b', ['n' => 1]);
trastienda_event('a.b', ['n' => 2]);
check('the second call is on a new connection', $agent->request()['connection'] === 1 && $agent->request()['connection'] === 2);
check('and was sent once', $agent->unseen() === 0);
?>
--EXPECT--
the second call is on a new connection: yes
and was sent once: yes
