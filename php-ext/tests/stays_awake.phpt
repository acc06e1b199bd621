--TEST--
A caller that is answered at once looks for the next answer instead of sleeping; one that has to wait sleeps
--SKIPIF--
<?php
/* Time in which some processor had nothing to do, in hundredths of a second of each. */
$idle = static fn (): int => (int) preg_split('/ +/', file('/proc/stat')[0])[4];
$before = $idle();
usleep(500000);
// Who answers and who looks for the answer need a processor each.
if (count(preg_grep('/^cpu\d/', file('/proc/stat'))) < 2 || $idle() - $before < 25) {
    die('skip no processor is free');
}
?>
--FILE--
<?php
require __DIR__ . '/agent.inc';
/** How often this process slept in 50 calls. */
function slept(): int
{
    $before = getrusage()['ru_nvcsw'];
    for ($n = 0; $n < 50; $n++) {
        trastienda_event('a.b', ['n' => $n]);
    }

    return getrusage()['ru_nvcsw'] - $before;
}

$agent = StubAgent::start(['quiet' => true, 'after' => 2]);
trastienda_event('a.b', []); // connects
slept();
echo slept() >= 50 ? "slept for slow answers\n" : "stayed awake for slow answers\n";

$agent = StubAgent::start(['quiet' => true]);
// On a machine that has other things to do an answer can be slow at any time.
for ($times = [], $patience = microtime(true) + 30; microtime(true) < $patience; ) {
    $times[] = slept();
    if (end($times) < 25) {
        exit("stayed awake for quick ones\n");
    }
}
echo 'slept in 50 calls each: ', implode(' ', array_slice($times, -20)), "\n";
?>
--EXPECT--
slept for slow answers
stayed awake for quick ones
