--TEST--
A refused body says which fields, all at once
--FILE--
<?php
require __DIR__ . '/agent.inc';
$errors = [['pointer' => '/type', 'message' => 'must be dotted'], ['pointer' => '/data/order_id', 'message' => 'is missing']];
$agent = StubAgent::start(['status' => 422, 'body' => ['type' => 'x', 'title' => 'T', 'status' => 422, 'detail' => 'refused', 'code' => 'validation_failed', 'errors' => $errors]]);

$exception = thrown(fn () => trastienda_event('order', []));
check('the errors are those', $exception->errors() === $errors);
check('twice', $exception->errors() === $errors);
echo $exception->getMessage(), ' ', $exception->getCode(), ' ', $exception->problemCode(), "\n";
check('no request id', $exception->requestId() === null);
?>
--EXPECT--
the errors are those: yes
twice: yes
refused 422 validation_failed
no request id: yes
