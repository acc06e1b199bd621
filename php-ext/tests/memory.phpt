--TEST--
Memory does not grow with the number of calls
--SKIPIF--
<?php if (!is_readable('/proc/self/statm')) echo 'skip there is no /proc'; ?>
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start([]);
$resident = fn () => (int) explode(' ', file_get_contents('/proc/self/statm'))[1] * 4096;
$round = function (int $calls) use ($agent) {
    for ($n = 0; $n < $calls; $n++) {
        trastienda_event('a.b', ['n' => $n, 'text' => str_repeat('x', 500)], ['idempotency_key' => "k$n"]);
        trastienda_notify(['channel' => 'email', 'data' => []]);
        try {
            trastienda_event('a.b', ['x' => "\xff"]);
        } catch (Trastienda\Exception\InvalidRequest $exception) {
            $exception->errors();
        }
        unset($exception);
        $agent->request();
        $agent->request();
    }
};
$round(300);
[$php, $process] = [memory_get_usage(), $resident()];
$round(3000);
check("PHP's own", memory_get_usage() - $php < 4096);
check("the process's", $resident() - $process < 512 * 1024);
?>
--EXPECT--
PHP's own: yes
the process's: yes
