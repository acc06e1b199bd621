--TEST--
A fatal error inside jsonSerialize() does no harm
--FILE--
<?php
require __DIR__ . '/agent.inc';
final class Exhausting implements JsonSerializable
{
    public function jsonSerialize(): mixed { return str_repeat('x', 1 << 30); }
}
$agent = StubAgent::start([]);
ini_set('memory_limit', '16M');
register_shutdown_function(function () use ($agent) {
    check('a shutdown function can still report', trastienda_event('a.b', []) !== '' && $agent->unseen() === 1);
});

trastienda_event('a.b', ['x' => new Exhausting()]);
?>
--EXPECTF--
Fatal error: Allowed memory size of %d bytes exhausted%a
a shutdown function can still report: yes
