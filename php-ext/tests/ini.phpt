--TEST--
The directives have their defaults, and a time-out that is none means the default
--FILE--
<?php
require __DIR__ . '/agent.inc';
foreach (ini_get_all('trastienda') as $name => $directive) {
    echo $name, ' ', $directive['global_value'], ' ', $directive['access'] === INI_ALL ? 'anywhere' : 'not everywhere', "\n";
}
$agent = StubAgent::start(['do' => 'hang']);
ini_set('trastienda.timeout_ms', '0');
$start = hrtime(true);
thrown(fn () => trastienda_event('a.b', []));
check('0 is no licence to wait for ever', (hrtime(true) - $start) / 1e6 < 500);
ini_set('trastienda.timeout_ms', '60');
$start = hrtime(true);
thrown(fn () => trastienda_event('a.b', []));
check('another value counts from the next call', (hrtime(true) - $start) / 1e6 < 200);
?>
--EXPECT--
trastienda.connect_timeout_ms 50 anywhere
trastienda.enabled 1 anywhere
trastienda.socket /run/trastienda/agent.sock anywhere
trastienda.sync_timeout_ms 15000 anywhere
trastienda.timeout_ms 250 anywhere
0 is no licence to wait for ever: yes
another value counts from the next call: yes
