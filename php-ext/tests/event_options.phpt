--TEST--
An event takes an id, an idempotency key and a budget of its own
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start([]);

$id = 'evt_0192f0c1d2e37a4b8c5d6e7f8091a2b3';
check('the given id is returned', trastienda_event('a.b', ['n' => 1], ['id' => $id, 'idempotency_key' => 'order 1', 'timeout_ms' => 5000]) === $id);
$request = $agent->request();
echo $request['body'], "\n", $request['headers']['idempotency-key'], "\n";
check('null means not given', trastienda_event('a.b', [], ['id' => null]) !== $id);
?>
--EXPECT--
the given id is returned: yes
{"id":"evt_0192f0c1d2e37a4b8c5d6e7f8091a2b3","type":"a.b","data":{"n":1}}
order 1
null means not given: yes
