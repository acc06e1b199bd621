--TEST--
A full backlog costs no more than the connect time-out
--FILE--
<?php
require __DIR__ . '/agent.inc';
$path = sys_get_temp_dir() . '/trb' . bin2hex(random_bytes(6)) . '.sock';
$context = stream_context_create(['socket' => ['backlog' => 0]]);
$server = stream_socket_server("unix://$path", $code, $text, STREAM_SERVER_BIND | STREAM_SERVER_LISTEN, $context);
$waiting = [];
while ($client = @stream_socket_client("unix://$path", $code, $text, 0, STREAM_CLIENT_CONNECT | STREAM_CLIENT_ASYNC_CONNECT)) {
    $waiting[] = $client;
}
check('the backlog is full', count($waiting) > 0);
ini_set('trastienda.socket', $path);

$start = hrtime(true);
$exception = thrown(fn () => trastienda_event('a.b', []));
$milliseconds = (hrtime(true) - $start) / 1e6;
echo get_class($exception), ': ', str_replace($path, '<socket>', $exception->getMessage()), "\n";
check('about 50 ms', $milliseconds >= 45 && $milliseconds < 200);
unlink($path);
?>
--EXPECT--
the backlog is full: yes
Trastienda\Exception\AgentUnavailable: the agent did not accept a connection at <socket> in time
about 50 ms: yes
