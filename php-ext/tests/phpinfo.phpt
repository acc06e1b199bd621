--TEST--
phpinfo() has a section
--FILE--
<?php
require __DIR__ . '/agent.inc';
ob_start();
phpinfo(INFO_MODULES);
$text = ob_get_clean();
[$section] = explode("\n\n", substr($text, strpos($text, 'Trastienda => enabled')), 2);
echo $section, "\n", substr_count($text, "\ntrastienda."), " directives\n";
check('the module has its version', phpversion('trastienda') !== false);
?>
--EXPECTF--
Trastienda => enabled
Version => %d.%d.%d
5 directives
the module has its version: yes
