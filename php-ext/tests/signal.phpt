--TEST--
A signal neither cuts a call short nor stretches its budget
--SKIPIF--
<?php if (!extension_loaded('pcntl')) echo 'skip pcntl is not loaded'; ?>
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(['do' => 'hang']);

pcntl_async_signals(true);
pcntl_signal(SIGALRM, function () { echo "the signal was handled\n"; });
pcntl_alarm(1);
$start = hrtime(true);
echo get_class(thrown(fn () => trastienda_event('a.b', [], ['timeout_ms' => 1200]))), "\n";
$milliseconds = (hrtime(true) - $start) / 1e6;
check('the budget was kept', $milliseconds >= 1199 && $milliseconds < 1500);
?>
--EXPECT--
the signal was handled
Trastienda\Exception\OutcomeUnknown
the budget was kept: yes
