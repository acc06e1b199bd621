--TEST--
A notification is completed with its id, and waits only when asked to
--FILE--
<?php
require __DIR__ . '/agent.inc';
$answer = ['id' => 'ntf_0192f0c1d2e37a4b8c5d6e7f8091a2b3', 'channel' => 'whatsapp', 'status' => 'pending', 'whatsapp' => ['link' => 'https://wa.me/1']];
$agent = StubAgent::start(['status' => 202, 'body' => $answer]);

$notification = ['channel' => 'email', 'to' => 'ana@example.test', 'template' => 'welcome', 'data' => [], 'metadata' => ['a' => []]];
$copy = $notification;
check('the answer is the hub\'s', trastienda_notify($notification) === $answer);
check('the argument is not changed', $notification === $copy);
$request = $agent->request();
echo $request['method'], ' ', $request['target'], "\n", preg_replace('/ntf_[0-9a-f]{32}/', '<id>', $request['body']), "\n";
check('it does not wait', !isset($request['headers']['prefer']));

$id = 'ntf_0192f0c1d2e37a4b8c5d6e7f8091a2b4';
trastienda_notify(['id' => $id, 'channel' => 'whatsapp'], ['wait' => true, 'idempotency_key' => 'k']);
$request = $agent->request();
echo $request['body'], ' ', $request['headers']['prefer'], ' ', $request['headers']['idempotency-key'], "\n";

trastienda_notify(['id' => $id, 'channel' => 'whatsapp'], ['id' => $answer['id'], 'wait' => 3]);
$request = $agent->request();
echo $request['body'], ' ', $request['headers']['prefer'], "\n";
?>
--EXPECT--
the answer is the hub's: yes
the argument is not changed: yes
POST /v1/notifications
{"channel":"email","to":"ana@example.test","template":"welcome","data":{},"metadata":{"a":[]},"id":"<id>"}
it does not wait: yes
{"id":"ntf_0192f0c1d2e37a4b8c5d6e7f8091a2b4","channel":"whatsapp"} wait=10 k
{"id":"ntf_0192f0c1d2e37a4b8c5d6e7f8091a2b3","channel":"whatsapp"} wait=3
