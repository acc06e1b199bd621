--TEST--
An answer of many megabytes arrives whole
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(['status' => 200, 'fill' => 8_000_000]);
check('whole', trastienda_request('GET', '/v1/x')['body'] === str_repeat('x', 8_000_000));
?>
--EXPECT--
whole: yes
