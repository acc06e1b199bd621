--TEST--
An exception that nobody catches ends the script as any other
--FILE--
<?php
require __DIR__ . '/agent.inc';
ini_set('trastienda.socket', '/nowhere/at.all');
trastienda_event('a.b', []);
?>
--EXPECTF--
Fatal error: Uncaught Trastienda\Exception\AgentUnavailable: the agent cannot be reached at /nowhere/at.all: No such file or directory (os error 2) in %suncaught.php:4
Stack trace:
#0 %suncaught.php(4): trastienda_event('a.b', Array)
#1 {main}
  thrown in %suncaught.php on line 4
