--TEST--
Workers that are forked from a warm parent, and live over many requests, keep a connection each
--SKIPIF--
<?php if (!extension_loaded('pcntl')) echo 'skip pcntl is not loaded'; ?>
--FILE--
<?php
require __DIR__ . '/agent.inc';
const WORKERS = 4;
const REQUESTS = 50;
ini_set('trastienda.timeout_ms', '10000');
$agent = StubAgent::start([]);

// As Octane's servers do: the application is booted once, with a call on the way, and then forked.
trastienda_event('parent.booted', []);
$children = [];
for ($worker = 0; $worker < WORKERS; $worker++) {
    $child = pcntl_fork();
    if ($child === 0) {
        for ($n = 0; $n < REQUESTS; $n++) {
            $id = sprintf('evt_%012x7000800000000000%04x', (int) (microtime(true) * 1000), $worker * 1000 + $n);
            // Another's answer on this connection would have another id.
            if (trastienda_event('request.handled', ['worker' => $worker], ['id' => $id]) !== $id) {
                exit(1);
            }
        }
        exit(0);
    }
    $children[] = $child;
}
$connections = [];
$agent->request();
for ($n = 0; $n < WORKERS * REQUESTS; $n++) {
    $request = $agent->request();
    $connections[json_decode($request['body'])->data->worker][$request['connection']] = true;
}
foreach ($children as $child) {
    pcntl_waitpid($child, $status);
    check('a worker got its own answers', pcntl_wexitstatus($status) === 0);
}
trastienda_event('parent.ends', []);
check('the parent has kept its own', $agent->request()['connection'] === 1);
$all = array_merge(...array_map('array_keys', $connections));
check('one connection each', count($connections) === WORKERS && count($all) === WORKERS && !in_array(1, $all, true));
?>
--EXPECT--
a worker got its own answers: yes
a worker got its own answers: yes
a worker got its own answers: yes
a worker got its own answers: yes
the parent has kept its own: yes
one connection each: yes
