--TEST--
Wrong arguments are type errors, as with PHP's own functions
--FILE--
<?php
require __DIR__ . '/agent.inc';
show(fn () => trastienda_event(5, []));
show(fn () => trastienda_event('a.b', 'data'));
show(fn () => trastienda_event('a.b', new stdClass()));
show(fn () => trastienda_event('a.b', null));
show(fn () => trastienda_event('a.b', [], 'options'));
show(fn () => trastienda_event('a.b'));
show(fn () => trastienda_event('a.b', [], [], 1));
show(fn () => trastienda_verify_webhook('', [], 5));
show(fn () => trastienda_feature('x', null));
ini_set('trastienda.enabled', '0');
check('by name', trastienda_event(data: ['n' => 1], type: 'a.b', options: null) !== '');
check('a feature by name', trastienda_feature(default: true, flag: 'x') === true);
?>
--EXPECT--
TypeError 0: Invalid value given for argument `type`.
TypeError 0: Invalid value given for argument `data`.
TypeError 0: Invalid value given for argument `data`.
TypeError 0: Invalid value given for argument `data`.
TypeError 0: Invalid value given for argument `options`.
ArgumentCountError 0: trastienda_event() expects at least 2 arguments, 1 given
ArgumentCountError 0: trastienda_event() expects at most 3 arguments, 4 given
TypeError 0: Invalid value given for argument `secret`.
TypeError 0: Argument `$default` must not be null
by name: yes
a feature by name: yes
