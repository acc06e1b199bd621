--TEST--
A payment is read by its id, and by nothing else
--FILE--
<?php
require __DIR__ . '/agent.inc';
$id = 'pay_0192f0c1d2e37a4b8c5d6e7f8091a2b3';
$agent = StubAgent::start(['status' => 200, 'body' => ['id' => $id, 'status' => 'paid', 'timeline' => []]]);

print_r(trastienda_payment_get($id));
echo $agent->request()['target'], "\n";
show(fn () => trastienda_payment_get('../../admin'));
show(fn () => trastienda_payment_get('evt_0192f0c1d2e37a4b8c5d6e7f8091a2b3'));
?>
--EXPECT--
Array
(
    [id] => pay_0192f0c1d2e37a4b8c5d6e7f8091a2b3
    [status] => paid
    [timeline] => Array
        (
        )

)
/v1/payments/pay_0192f0c1d2e37a4b8c5d6e7f8091a2b3
InvalidRequest 0: `/id` must be `pay_` and a UUIDv7 in 32 lower-case hex digits
InvalidRequest 0: `/id` must be `pay_` and a UUIDv7 in 32 lower-case hex digits
