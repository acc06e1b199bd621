--TEST--
A secret that is none is a mistake in the settings, not a forgery
--FILE--
<?php
require __DIR__ . '/agent.inc';
$secret = 'whsec_' . base64_encode(str_repeat('a', 32));
show(fn () => trastienda_verify_webhook('{}', [], 'whsec_short'));
show(fn () => trastienda_verify_webhook('{}', [], ''));
show(fn () => trastienda_verify_webhook('{}', [], []));
show(fn () => trastienda_verify_webhook('{}', [], [$secret, null]));
show(fn () => trastienda_verify_webhook('{}', [], $secret, -1));

$at = time();
$signature = 'v1,' . base64_encode(hash_hmac('sha256', "evt_1.$at.[", str_repeat('a', 32), true));
show(fn () => trastienda_verify_webhook('[', ['webhook-id' => 'evt_1', 'webhook-timestamp' => $at, 'webhook-signature' => $signature], $secret));
?>
--EXPECT--
InvalidRequest 0: `/secret` is not usable: a webhook secret is `whsec_` and the base64 of 24 to 64 bytes
InvalidRequest 0: `/secret` is not usable: a webhook secret is `whsec_` and the base64 of 24 to 64 bytes
InvalidRequest 0: `/secret` must hold at least one secret
InvalidRequest 0: `/secret` must be a string
InvalidRequest 0: `/tolerance` must be a number of seconds, at least 0
InvalidRequest 0: `/payload` is signed, and is not a JSON object
