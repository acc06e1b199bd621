--TEST--
A feature is asked for, and is its default whenever the answer is of no use
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(
    ['status' => 200, 'body' => ['flag' => 'new/checkout', 'enabled' => true]],
    ['status' => 200, 'body' => ['flag' => 'x', 'enabled' => false]],
    ['status' => 404, 'body' => ['code' => 'not_found']],
    ['status' => 200, 'body' => ['flag' => 'x', 'enabled' => false, 'is_known' => false]],
    ['status' => 200, 'body' => ['enabled' => 'yes']],
    ['do' => 'hang'],
);

check('on', trastienda_feature('new/checkout') === true);
echo $agent->request()['target'], "\n";
check('off beats the default', trastienda_feature('x', true) === false);
check('unknown', trastienda_feature('x', true) === true);
check('known to nobody', trastienda_feature('x', true) === true);
check('nonsense', trastienda_feature('x', true) === true);
check('no answer', trastienda_feature('x', true) === true);
check('not UTF-8', trastienda_feature("\xff", true) === true);
ini_set('trastienda.socket', '/nowhere/at.all');
check('no agent', trastienda_feature('x', true) === true && trastienda_feature('x') === false);
?>
--EXPECT--
on: yes
/v1/features/new%2Fcheckout
off beats the default: yes
unknown: yes
known to nobody: yes
nonsense: yes
no answer: yes
not UTF-8: yes
no agent: yes
