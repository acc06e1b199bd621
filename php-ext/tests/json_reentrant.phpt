--TEST--
jsonSerialize() may itself report an event
--FILE--
<?php
require __DIR__ . '/agent.inc';
final class Reporting implements JsonSerializable
{
    public function jsonSerialize(): mixed { return ['inner' => trastienda_event('inner.event', []) !== '']; }
}
$agent = StubAgent::start([]);

trastienda_event('first.event', []);
trastienda_event('outer.event', ['x' => new Reporting()]);
for ($n = 0; $n < 3; $n++) {
    $request = $agent->request();
    echo json_decode($request['body'])->type, ' on ', $request['connection'], "\n";
}
?>
--EXPECT--
first.event on 1
inner.event on 1
outer.event on 1
