--TEST--
A call that waits is woken by its answer alone, not by the agent's reading of the request
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(['quiet' => true, 'after' => 2]);
trastienda_event('a.b', []); // connects
$before = getrusage();
for ($n = 0; $n < 100; $n++) {
    trastienda_event('a.b', ['n' => $n]);
}
$slept = getrusage()['ru_nvcsw'] - $before['ru_nvcsw'];
// Once for each call; a few more for the machine's own reasons.
echo $slept > 0 && $slept <= 150 ? "once a call\n" : "$slept times in 100 calls\n";
?>
--EXPECT--
once a call
