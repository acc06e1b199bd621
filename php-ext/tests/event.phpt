--TEST--
An event reaches the agent with the id that the caller gets
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start([]);

$id = trastienda_event('order.created', ['order_id' => 'A-1', 'total' => '1500.00', 'note' => 'ñandú / 🛒']);
$request = $agent->request();

check('the id is an evt_ UUIDv7', preg_match('/^evt_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/', $id) === 1);
check('it carries the time', abs(hexdec(substr($id, 4, 12)) - microtime(true) * 1000) < 60_000);
echo $request['method'], ' ', $request['target'], "\n";
echo str_replace($id, '<id>', $request['body']), "\n";
unset($request['headers']['user-agent']);
print_r($request['headers']);
?>
--EXPECTF--
the id is an evt_ UUIDv7: yes
it carries the time: yes
POST /v1/events
{"id":"<id>","type":"order.created","data":{"order_id":"A-1","total":"1500.00","note":"ñandú / 🛒"}}
Array
(
    [host] => localhost
    [accept] => application/json
    [content-type] => application/json
    [content-length] => %d
)
