--TEST--
An answer in chunks is put together
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(
    ['raw' => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"hub\":\"\r\n4\r\nup\"}\r\n0\r\n\r\n"],
    ['status' => 200, 'body' => ['hub' => 'down']],
);
echo trastienda_status()['hub'], ' ', trastienda_status()['hub'], "\n";
$agent->request();
check('on the same connection', $agent->request()['connection'] === 1);
?>
--EXPECT--
up down
on the same connection: yes
