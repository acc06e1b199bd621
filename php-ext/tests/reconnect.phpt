--TEST--
A connection that breaks before the answer is opened anew, once, with the same id
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start([], ['do' => 'close'], []);

trastienda_event('a.b', ['n' => 1]);
$id = trastienda_event('a.b', ['n' => 2]);
[$first, $second, $third] = [$agent->request(), $agent->request(), $agent->request()];
check('the first two share a connection', $first['connection'] === $second['connection']);
check('the third is another', $third['connection'] !== $second['connection']);
check('the same bytes, so the same id', $third['body'] === $second['body']);
check('which is the one returned', json_decode($third['body'])->id === $id);
?>
--EXPECT--
the first two share a connection: yes
the third is another: yes
the same bytes, so the same id: yes
which is the one returned: yes
