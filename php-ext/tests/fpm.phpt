--TEST--
Under FPM each worker keeps one connection over its requests
--SKIPIF--
<?php
require __DIR__ . '/fastcgi.inc';
if (Fpm::program() === null) echo 'skip PHP-FPM is not installed';
?>
--FILE--
<?php
require __DIR__ . '/agent.inc';
require __DIR__ . '/fastcgi.inc';
const WORKERS = 3;
const REQUESTS = 60;
$agent = StubAgent::start([]);
$fpm = new Fpm(WORKERS, ['trastienda.socket' => $agent->socket, 'trastienda.timeout_ms' => 10_000]);
$script = $fpm->script('order', <<<'PHP'
    <?php
    $id = trastienda_event('order.created', ['order_id' => $_GET['order'], 'worker' => getmypid()]);
    echo json_encode([$id, getmypid()]);
    PHP);

$answers = [];
for ($order = 0; $order < REQUESTS;) {
    // As many at once as there are workers, and more.
    $open = [];
    for ($n = 0; $n < 2 * WORKERS && $order < REQUESTS; $n++, $order++) {
        $open[$order] = $fpm->begin($script, "order=$order");
    }
    foreach ($open as $number => $stream) {
        $answers[$number] = json_decode($fpm->finish($stream));
    }
}

$connections = [];
$right = 0;
for ($n = 0; $n < REQUESTS; $n++) {
    $request = $agent->request();
    $body = json_decode($request['body']);
    $connections[$body->data->worker][$request['connection']] = true;
    [$id, $worker] = $answers[(int) $body->data->order_id];
    $right += $id === $body->id && $worker === $body->data->worker ? 1 : 0;
}
check('every request was answered with its own id', $right === REQUESTS);
check('several workers answered', count($connections) > 1 && count($connections) <= WORKERS);
check('each on one connection', array_map('count', $connections) === array_fill_keys(array_keys($connections), 1));
check('and on none of another', count(array_merge(...array_map('array_keys', array_values($connections)))) === count($connections));
?>
--EXPECT--
every request was answered with its own id: yes
several workers answered: yes
each on one connection: yes
and on none of another: yes
