--TEST--
Without an agent a call fails at once, and says where it looked
--FILE--
<?php
require __DIR__ . '/agent.inc';
ini_set('trastienda.socket', __DIR__ . '/nobody.sock');
$start = hrtime(true);
$exception = thrown(fn () => trastienda_event('a.b', []));
check('it took no time', hrtime(true) - $start < 200e6);
echo get_class($exception), "\n", str_replace(__DIR__, '…', $exception->getMessage()), "\n";
check('it has no HTTP status', $exception->getCode() === 0);

// A socket that nobody listens on any more.
$agent = StubAgent::start([]);
$stale = $agent->socket . '.stale';
fclose(stream_socket_server("unix://$stale"));
ini_set('trastienda.socket', $stale);
echo get_class(thrown(fn () => trastienda_status())), "\n";
@unlink($stale);

// A path that cannot be a socket's.
ini_set('trastienda.socket', '/' . str_repeat('x', 200));
echo get_class(thrown(fn () => trastienda_status())), "\n";
?>
--EXPECT--
it took no time: yes
Trastienda\Exception\AgentUnavailable
the agent cannot be reached at …/nobody.sock: No such file or directory (os error 2)
it has no HTTP status: yes
Trastienda\Exception\AgentUnavailable
Trastienda\Exception\AgentUnavailable
