--TEST--
A webhook is believed if one of the secrets signed it lately
--FILE--
<?php
require __DIR__ . '/agent.inc';
$sign = function (string $secret, string $id, int $at, string $body): string {
    return 'v1,' . base64_encode(hash_hmac('sha256', "$id.$at.$body", base64_decode(substr($secret, 6)), true));
};
[$old, $new, $other] = array_map(fn ($c) => 'whsec_' . base64_encode(str_repeat($c, 32)), ['a', 'b', 'c']);
$body = '{"id":"evt_1","type":"order.paid","data":{"total":"1500.00","lines":[]}}';
$now = time();
$headers = ['Webhook-Id' => 'evt_1', 'WEBHOOK-TIMESTAMP' => (string) $now, 'webhook-signature' => $sign($new, 'evt_1', $now, $body)];

check('one secret', trastienda_verify_webhook($body, $headers, $new) === json_decode($body, true));
check('several secrets', trastienda_verify_webhook($body, $headers, [$old, $new])['type'] === 'order.paid');
$both = ['webhook-signature' => $sign($other, 'evt_1', $now, $body) . ' ' . $sign($old, 'evt_1', $now, $body)] + $headers;
check('several signatures', trastienda_verify_webhook($body, $both, $old)['id'] === 'evt_1');
$lists = ['webhook-id' => ['evt_1'], 'webhook-timestamp' => [$now], 'webhook-signature' => ['v2,x', $sign($new, 'evt_1', $now, $body)]];
check('headers as lists', trastienda_verify_webhook($body, $lists, $new)['id'] === 'evt_1');

show(fn () => trastienda_verify_webhook($body, $headers, $other));
show(fn () => trastienda_verify_webhook($body . ' ', $headers, $new));
show(fn () => trastienda_verify_webhook("\xff\x00", $headers, $new));
show(fn () => trastienda_verify_webhook($body, ['webhook-id' => ['evt_1', 'evt_2']] + $lists, $new));
show(fn () => trastienda_verify_webhook($body, array_diff_key($headers, ['Webhook-Id' => 1]), $new));
show(fn () => trastienda_verify_webhook($body, ['WEBHOOK-TIMESTAMP' => 'soon'] + $headers, $new));
show(fn () => trastienda_verify_webhook($body, [], $new));

$stale = ['WEBHOOK-TIMESTAMP' => (string) ($now - 301), 'webhook-signature' => $sign($new, 'evt_1', $now - 301, $body)] + $headers;
echo get_class(thrown(fn () => trastienda_verify_webhook($body, $stale, $new))), "\n";
check('within another tolerance', trastienda_verify_webhook($body, $stale, $new, 600)['id'] === 'evt_1');
$ahead = ['WEBHOOK-TIMESTAMP' => (string) ($now + 400), 'webhook-signature' => $sign($new, 'evt_1', $now + 400, $body)] + $headers;
echo get_class(thrown(fn () => trastienda_verify_webhook($body, $ahead, $new))), "\n";
?>
--EXPECT--
one secret: yes
several secrets: yes
several signatures: yes
headers as lists: yes
InvalidSignature 0: no signature matches: the body was changed or the secret is another
InvalidSignature 0: no signature matches: the body was changed or the secret is another
InvalidSignature 0: no signature matches: the body was changed or the secret is another
InvalidSignature 0: the header `webhook-id` is missing or unreadable
InvalidSignature 0: the header `webhook-id` is missing or unreadable
InvalidSignature 0: the header `webhook-timestamp` is missing or unreadable
InvalidSignature 0: the header `webhook-id` is missing or unreadable
Trastienda\Exception\InvalidSignature
within another tolerance: yes
Trastienda\Exception\InvalidSignature
