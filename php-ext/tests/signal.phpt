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
ini_set('trastienda.timeout_ms', '1200');
$start = hrtime(true);
// A call that throws would not do: PHP drops the signals of internal functions that end so.
$on = trastienda_feature('x', true);
$milliseconds = (hrtime(true) - $start) / 1e6;
check('the default was given', $on);
check('the budget was kept', $milliseconds >= 1199 && $milliseconds < 1500);
?>
--EXPECT--
the signal was handled
the default was given: yes
the budget was kept: yes
