--TEST--
A payment without an answer is neither made nor failed: the exception has its id
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(
    ['do' => 'hang'],
    ['status' => 504, 'body' => ['type' => 'x', 'title' => 'T', 'status' => 504, 'detail' => 'late', 'code' => 'outcome_unknown']],
    ['status' => 500, 'body' => ['type' => 'x', 'title' => 'T', 'status' => 500, 'detail' => 'broke', 'code' => 'internal']],
    ['status' => 503, 'body' => ['type' => 'x', 'title' => 'T', 'status' => 503, 'detail' => 'away', 'code' => 'hub_unreachable']],
);
$pay = fn () => trastienda_payment_create(['order_id' => '1'], ['idempotency_key' => 'k', 'timeout_ms' => 100]);

foreach (['no answer', 'the agent gave up', 'the hub failed'] as $case) {
    $exception = thrown($pay);
    echo $case, ': ', get_class($exception), ' ', $exception->getCode(), ' ', $exception->problemCode() ?? '-', "\n";
    check('with its id', $exception->id() === json_decode($agent->request()['body'])->id);
}
// Here the agent says that it sent nothing.
echo get_class(thrown($pay)), "\n";
?>
--EXPECT--
no answer: Trastienda\Exception\OutcomeUnknown 0 -
with its id: yes
the agent gave up: Trastienda\Exception\OutcomeUnknown 504 outcome_unknown
with its id: yes
the hub failed: Trastienda\Exception\OutcomeUnknown 500 internal
with its id: yes
Trastienda\Exception\HubUnavailable
