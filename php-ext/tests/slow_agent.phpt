--TEST--
An agent that does not answer costs no more than the budget
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(['do' => 'hang']);

foreach ([null, ['timeout_ms' => 80]] as $options) {
    $start = hrtime(true);
    $exception = thrown(fn () => trastienda_event('a.b', ['n' => 1], $options));
    $milliseconds = (hrtime(true) - $start) / 1e6;
    $budget = $options['timeout_ms'] ?? 250;
    echo get_class($exception), ': ', str_replace($agent->socket, '<socket>', $exception->getMessage()), "\n";
    check("about $budget ms", $milliseconds >= $budget - 1 && $milliseconds < $budget + 200);
    check('the id is the one that was sent', json_decode($agent->request()['body'])->id === $exception->id());
}
check('a time-out is not followed by a second attempt', $agent->unseen() === 0);
?>
--EXPECT--
Trastienda\Exception\OutcomeUnknown: the agent at <socket> took the request and did not answer in time
about 250 ms: yes
the id is the one that was sent: yes
Trastienda\Exception\OutcomeUnknown: the agent at <socket> took the request and did not answer in time
about 80 ms: yes
the id is the one that was sent: yes
a time-out is not followed by a second attempt: yes
