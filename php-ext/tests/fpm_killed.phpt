--TEST--
Under FPM an agent that was away costs a worker nothing but the calls of that time
--SKIPIF--
<?php
require __DIR__ . '/fastcgi.inc';
if (Fpm::program() === null) echo 'skip PHP-FPM is not installed';
?>
--FILE--
<?php
require __DIR__ . '/agent.inc';
require __DIR__ . '/fastcgi.inc';
$agent = StubAgent::start([]);
$fpm = new Fpm(1, ['trastienda.timeout_ms' => 10_000]);
$script = $fpm->script('order', <<<'PHP'
    <?php
    ini_set('trastienda.socket', $_GET['socket']);
    try {
        trastienda_event('order.created', ['order_id' => '1']);
        echo 'taken';
    } catch (Trastienda\Exception\AgentUnavailable) {
        echo 'unavailable';
    }
    echo ' ', getmypid();
    PHP);

[$first, $worker] = explode(' ', $fpm->request($script, "socket=$agent->socket"));
$agent->stop();
[$second, $same] = explode(' ', $fpm->request($script, "socket=$agent->socket"));
$agent = StubAgent::start([]);
[$third, $still] = explode(' ', $fpm->request($script, "socket=$agent->socket"));
echo "$first, $second, $third\n";
check('by the same worker', $worker === $same && $same === $still && in_array((int) $worker, $fpm->workers(), true));
?>
--EXPECT--
taken, unavailable, taken
by the same worker: yes
