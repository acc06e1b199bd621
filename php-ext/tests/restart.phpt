--TEST--
An agent that comes back is found again
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start([]);
trastienda_event('a.b', []);
$agent->stop();
echo get_class(thrown(fn () => trastienda_event('a.b', []))), "\n";
$agent = StubAgent::start([]);
trastienda_event('a.b', []);
check('it is back', $agent->request()['connection'] === 1);
?>
--EXPECT--
Trastienda\Exception\AgentUnavailable
it is back: yes
