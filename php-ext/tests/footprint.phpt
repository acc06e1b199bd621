--TEST--
The extension takes less than 1 MiB of a PHP process
--SKIPIF--
<?php if (!is_readable('/proc/self/smaps_rollup')) echo 'skip the kernel does not say what is private'; ?>
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start([]);
$extension = null;
foreach (file('/proc/self/maps') as $line) {
    if (preg_match('~(/\S*trastienda\S*\.so)$~', trim($line), $found)) {
        $extension = $found[1];
    }
}
// What is a process's alone, in KiB: what ten more of them would cost ten times.
$private = function (array $arguments, string $code): int {
    $code .= 'preg_match_all("/^Private_(?:Clean|Dirty): +(\d+)/m", file_get_contents("/proc/self/smaps_rollup"), $m); echo array_sum($m[1]);';
    $process = proc_open([PHP_BINARY, '-n', ...$arguments, '-r', $code], [1 => ['pipe', 'w']], $pipes);
    $said = stream_get_contents($pipes[1]);
    proc_close($process);
    return (int) $said;
};
$calls = "ini_set('trastienda.socket', '$agent->socket'); ini_set('trastienda.timeout_ms', '10000');
    for (\$n = 0; \$n < 10; \$n++) { trastienda_event('a.b', ['n' => \$n]); trastienda_status(); }";
$without = min(array_map(fn () => $private([], ''), range(1, 3)));
$with = min(array_map(fn () => $private(['-d', "extension=$extension"], $calls), range(1, 3)));
$cost = $with - $without;
check('something was measured', $without > 100 && $with > 100);
echo $cost < 1024 ? "less than 1024 KiB\n" : "$cost KiB more than the $without KiB without it\n";
if ($file = getenv('TRASTIENDA_FOOTPRINT')) {
    file_put_contents($file, "$cost KiB\n");
}
?>
--EXPECT--
something was measured: yes
less than 1024 KiB
