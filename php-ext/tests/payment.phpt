--TEST--
A payment waits shorter than its caller, and needs an idempotency key
--FILE--
<?php
require __DIR__ . '/agent.inc';
$answer = ['id' => 'pay_0192f0c1d2e37a4b8c5d6e7f8091a2b3', 'status' => 'pending', 'checkout_url' => 'https://mp.test/1'];
$agent = StubAgent::start(['status' => 201, 'body' => $answer]);

$payment = ['order_id' => 'A-1', 'amount' => '1500.00', 'currency' => 'ARS', 'method' => 'checkout', 'payer' => []];
check('the answer is the hub\'s', trastienda_payment_create($payment, ['idempotency_key' => 'A-1:1']) === $answer);
$request = $agent->request();
echo $request['method'], ' ', $request['target'], ' ', $request['headers']['prefer'], ' ', $request['headers']['idempotency-key'], "\n";
echo preg_replace('/pay_[0-9a-f]{32}/', '<id>', $request['body']), "\n";

foreach ([['timeout_ms' => 4000], ['wait' => 3], ['wait' => 60], ['wait' => false]] as $options) {
    trastienda_payment_create($payment, $options + ['idempotency_key' => 'k']);
    echo json_encode($options), ' ', $agent->request()['headers']['prefer'], "\n";
}
show(fn () => trastienda_payment_create($payment));
check('nothing was sent', $agent->unseen() === 0);
?>
--EXPECT--
the answer is the hub's: yes
POST /v1/payments wait=10 A-1:1
{"order_id":"A-1","amount":"1500.00","currency":"ARS","method":"checkout","payer":{},"id":"<id>"}
{"timeout_ms":4000} wait=2
{"wait":3} wait=3
{"wait":60} wait=10
{"wait":false} respond-async
InvalidRequest 400: send an `Idempotency-Key` header made from the order and the attempt, so that a retry cannot charge twice
nothing was sent: yes
