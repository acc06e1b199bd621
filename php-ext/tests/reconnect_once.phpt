--TEST--
A second broken connection is the end, and the outcome is not known
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(['do' => 'close']);

$exception = thrown(fn () => trastienda_event('a.b', []));
echo get_class($exception), ': ', str_replace($agent->socket, '<socket>', $exception->getMessage()), "\n";
$ids = [json_decode($agent->request()['body'])->id, json_decode($agent->request()['body'])->id];
check('both had the id', $ids === [$exception->id(), $exception->id()]);
check('there was no third', $agent->unseen() === 0);
?>
--EXPECT--
Trastienda\Exception\OutcomeUnknown: the agent at <socket> closed the connection without a whole answer
both had the id: yes
there was no third: yes
