--TEST--
The status is what the agent says of itself
--FILE--
<?php
require __DIR__ . '/agent.inc';
$status = ['hub' => 'up', 'buffered' => 0, 'oldest_seconds' => null, 'dead_letters' => 0, 'disk_bytes' => 4096, 'version' => '0.1.0'];
$agent = StubAgent::start(['status' => 200, 'body' => $status]);

check('as it came', trastienda_status() === $status);
echo $agent->request()['target'], "\n";
?>
--EXPECT--
as it came: yes
/agent/status
