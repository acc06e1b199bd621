--TEST--
An answer that trickles in does not stretch the budget
--FILE--
<?php
require __DIR__ . '/agent.inc';
// The head comes at once and the body never: the call waits for the rest, and only for so long.
$agent = StubAgent::start(['raw' => "HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{"]);

$start = hrtime(true);
echo get_class(thrown(fn () => trastienda_event('a.b', [], ['timeout_ms' => 100]))), "\n";
check('within the budget', (hrtime(true) - $start) / 1e6 < 300);
$agent->stop();

// A byte at a time, each of them in good time for the next.
$agent = StubAgent::start(['trickle' => 20]);
$start = hrtime(true);
echo get_class(thrown(fn () => trastienda_event('a.b', [], ['timeout_ms' => 150]))), "\n";
$milliseconds = (hrtime(true) - $start) / 1e6;
check('neither does one that never pauses', $milliseconds >= 149 && $milliseconds < 400);
?>
--EXPECT--
Trastienda\Exception\OutcomeUnknown
within the budget: yes
Trastienda\Exception\OutcomeUnknown
neither does one that never pauses: yes
