--TEST--
A call that could happen twice is not sent twice
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(['do' => 'close']);
$sent = function (callable $call) use ($agent) {
    $exception = thrown($call);
    $agent->request();
    echo substr(get_class($exception), 21), ' after ', 1 + $agent->unseen(), "\n";
};

$sent(fn () => trastienda_request('POST', '/v1/webhook-endpoints', ['url' => 'https://shop.test']));
$sent(fn () => trastienda_request('PATCH', '/v1/webhook-endpoints/whe_1', ['rate_per_second' => 1]));
$sent(fn () => trastienda_request('POST', '/v1/payments/pay_1/refunds', [], ['Idempotency-Key' => 'k']));
$sent(fn () => trastienda_request('DELETE', '/v1/webhook-endpoints/whe_1'));
$sent(fn () => trastienda_request('GET', '/v1/events'));
?>
--EXPECT--
OutcomeUnknown after 1
OutcomeUnknown after 1
OutcomeUnknown after 2
OutcomeUnknown after 2
AgentUnavailable after 2
