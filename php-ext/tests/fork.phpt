--TEST--
A forked child makes its own connection and leaves its parent's alone
--SKIPIF--
<?php if (!extension_loaded('pcntl')) echo 'skip pcntl is not loaded'; ?>
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start([]);

trastienda_event('parent.first', []);
$pid = pcntl_fork();
if ($pid === 0) {
    trastienda_event('child.first', []);
    trastienda_event('child.second', []);
    exit(0);
}
pcntl_waitpid($pid, $status);
check('the child ended well', pcntl_wexitstatus($status) === 0);
trastienda_event('parent.second', []);

for ($n = 0; $n < 4; $n++) {
    $request = $agent->request();
    echo json_decode($request['body'])->type, ' on ', $request['connection'], "\n";
}
?>
--EXPECT--
the child ended well: yes
parent.first on 1
child.first on 2
child.second on 2
parent.second on 1
