--TEST--
Switched off, nothing is sent and nothing that may be skipped fails
--INI--
trastienda.enabled=0
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start([]);

check('an event still has an id', str_starts_with(trastienda_event('a.b', ['n' => 1]), 'evt_'));
check('arguments are still checked', thrown(fn () => trastienda_event('a.b', [], ['nope' => 1]))->getCode() === 0);
$notification = trastienda_notify(['channel' => 'email', 'to' => 'a@b.test']);
check('a notification has an id', str_starts_with($notification['id'], 'ntf_'));
echo $notification['channel'], ' ', $notification['status'], "\n";
check('a feature has its default', trastienda_feature('x', true) === true && trastienda_feature('x') === false);
// Money is never skipped silently.
show(fn () => trastienda_payment_create(['order_id' => '1'], ['idempotency_key' => 'k']));
show(fn () => trastienda_payment_get('pay_0192f0c1d2e37a4b8c5d6e7f8091a2b3'));
show(fn () => trastienda_request('GET', '/v1/events'));
show(fn () => trastienda_status());
check('nothing was sent', $agent->unseen() === 0);

ini_set('trastienda.enabled', 'On');
trastienda_event('a.b', []);
check('it can be switched on again', $agent->unseen() === 1);
?>
--EXPECT--
an event still has an id: yes
arguments are still checked: yes
a notification has an id: yes
email disabled
a feature has its default: yes
AgentUnavailable 0: the extension is switched off by trastienda.enabled
AgentUnavailable 0: the extension is switched off by trastienda.enabled
AgentUnavailable 0: the extension is switched off by trastienda.enabled
AgentUnavailable 0: the extension is switched off by trastienda.enabled
nothing was sent: yes
it can be switched on again: yes
