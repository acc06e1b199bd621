--TEST--
An agent that never had the whole request cannot have acted
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(['do' => 'ignore']);

$start = hrtime(true);
$exception = thrown(fn () => trastienda_notify(['channel' => 'email', 'text' => str_repeat('x', 5_000_000)]));
echo get_class($exception), ': ', str_replace($agent->socket, '<socket>', $exception->getMessage()), "\n";
check('within the budget', (hrtime(true) - $start) / 1e6 < 500);
?>
--EXPECT--
Trastienda\Exception\AgentUnavailable: the agent at <socket> did not take the whole request in time
within the budget: yes
