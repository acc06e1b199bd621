--TEST--
jsonSerialize() may end the script
--FILE--
<?php
require __DIR__ . '/agent.inc';
final class Exiting implements JsonSerializable
{
    public function jsonSerialize(): mixed { exit("bye\n"); }
}
$agent = StubAgent::start([]);
register_shutdown_function(function () use ($agent) {
    check('a shutdown function can still report', trastienda_event('a.b', []) !== '' && $agent->unseen() === 1);
});

try {
    trastienda_event('a.b', ['x' => new Exiting()]);
} catch (Throwable $exception) {
    echo 'caught ', get_class($exception), "\n";
} finally {
    echo "not reached\n";
}
?>
--EXPECT--
bye
a shutdown function can still report: yes
