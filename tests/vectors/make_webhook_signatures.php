<?php

declare(strict_types=1);

// Makes webhook_signatures.json: php tests/vectors/make_webhook_signatures.php
//
// The signatures are computed here with PHP's own HMAC and nothing of ours, so that the
// Rust and the PHP implementations are both checked against a third. The first case is the
// example that the Standard Webhooks libraries publish, with the signature they publish.

const PUBLISHED_SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const PUBLISHED_SIGNATURE = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';

$secret = 'whsec_'.base64_encode('trastienda-test-vector-secret-01');
$nextSecret = 'whsec_'.base64_encode('trastienda-test-vector-secret-02');
$stranger = 'whsec_'.base64_encode('somebody-elses-secret-entirely!!');
$id = 'evt_019cafe00000700080000000000000a1';
$at = 1795478400;
$body = '{"id":"evt_019cafe00000700080000000000000a1","type":"order.paid","timestamp":"2026-11-24T00:00:00.000Z","project":"prj_019cafe00000700080000000000000b2","data":{"order_id":"A-1042","total":"1500.00","currency":"ARS","customer":"José Ñandú"}}';

$sign = fn (string $id, int|string $at, string $body, string $secret): string => 'v1,'.base64_encode(
    hash_hmac('sha256', "$id.$at.$body", base64_decode(substr($secret, strlen('whsec_')), true), true),
);

$case = fn (string $name, string $why, array $over = []): array => [
    'name' => $name,
    'why' => $why,
    'payload' => $over['payload'] ?? $body,
    'id' => $over['id'] ?? $id,
    'timestamp' => (string) ($over['timestamp'] ?? $at),
    'secrets' => $over['secrets'] ?? [$secret],
    // What a signer holding the first secret must produce for this id, timestamp and payload.
    'expected_signature' => $sign($over['id'] ?? $id, $over['timestamp'] ?? $at, $over['payload'] ?? $body, ($over['secrets'] ?? [$secret])[0]),
    // What arrived in the webhook-signature header.
    'signature' => $over['signature'] ?? $sign($over['id'] ?? $id, $over['timestamp'] ?? $at, $over['payload'] ?? $body, $secret),
    'now' => $over['now'] ?? $at + 2,
    'tolerance_seconds' => 300,
    'valid' => $over['valid'] ?? true,
    'reason' => $over['reason'] ?? null,
];

$good = $sign($id, $at, $body, $secret);
$other = $sign($id, $at, $body, $stranger);

$cases = [
    $case('standard_webhooks_example', 'the example published with the Standard Webhooks libraries', [
        'payload' => '{"test": 2432232314}', 'id' => 'msg_p5jXN8AQM9LWM0D4loKWxJek', 'timestamp' => 1614265330,
        'secrets' => [PUBLISHED_SECRET], 'signature' => PUBLISHED_SIGNATURE, 'now' => 1614265330,
    ]),
    $case('event_with_non_ascii_text', 'UTF-8 bytes are signed as they are'),
    $case('empty_payload', 'nothing at all can be signed too', ['payload' => '', 'signature' => $sign($id, $at, '', $secret)]),
    $case('whitespace_is_part_of_the_payload', 'the bytes count, not what they mean', [
        'payload' => "{ \"a\" : 1 }\n", 'signature' => $sign($id, $at, "{ \"a\" : 1 }\n", $secret),
    ]),
    $case('several_signatures_second_matches', 'during a rotation the hub signs with both secrets', ['signature' => "$other $good"]),
    $case('several_secrets_second_matches', 'during a rotation the shop holds both secrets', ['secrets' => [$nextSecret, $secret]]),
    $case('unknown_version_beside_a_good_one', 'versions not understood are passed over', ['signature' => 'v1a,AAAA '.$good]),
    $case('oldest_allowed', 'exactly the tolerance ago', ['now' => $at + 300]),
    $case('newest_allowed', 'exactly the tolerance ahead', ['now' => $at - 300]),
    $case('wrong_secret', 'signed by somebody else', ['signature' => $other, 'valid' => false, 'reason' => 'no_match']),
    $case('tampered_body', 'one digit of the amount changed on the way', [
        'payload' => str_replace('1500.00', '1500.01', $body), 'signature' => $good, 'valid' => false, 'reason' => 'no_match',
    ]),
    $case('tampered_id', 'another event put on the same signature', [
        'id' => substr($id, 0, -1).'2', 'signature' => $good, 'valid' => false, 'reason' => 'no_match',
    ]),
    $case('tampered_timestamp', 'an old signature made to look fresh', [
        'timestamp' => $at + 100, 'signature' => $good, 'now' => $at + 100, 'valid' => false, 'reason' => 'no_match',
    ]),
    $case('stale_timestamp', 'well signed, one second past the tolerance', ['now' => $at + 301, 'valid' => false, 'reason' => 'too_old']),
    $case('future_timestamp', 'well signed, one second too far ahead', ['now' => $at - 301, 'valid' => false, 'reason' => 'too_new']),
    $case('timestamp_not_a_number', 'seconds since 1970 and nothing else', [
        'timestamp' => '2026-11-24T00:00:00Z', 'signature' => $sign($id, '2026-11-24T00:00:00Z', $body, $secret), 'valid' => false, 'reason' => 'bad_timestamp',
    ]),
    $case('only_an_unknown_version', 'right bytes under a version that is not v1', [
        'signature' => 'v2,'.substr($good, 3), 'valid' => false, 'reason' => 'no_match',
    ]),
    $case('signature_without_version', 'base64 alone', ['signature' => substr($good, 3), 'valid' => false, 'reason' => 'no_match']),
    $case('truncated_signature', 'a prefix of the right answer is not the right answer', [
        'signature' => substr($good, 0, -8), 'valid' => false, 'reason' => 'no_match',
    ]),
    $case('empty_signature_value', 'v1 and nothing after it', ['signature' => 'v1,', 'valid' => false, 'reason' => 'no_match']),
    $case('missing_signature', 'no signature header', ['signature' => '', 'valid' => false, 'reason' => 'missing_header']),
    $case('missing_id', 'no id header', ['id' => '', 'signature' => $sign('', $at, $body, $secret), 'valid' => false, 'reason' => 'missing_header']),
];

if ($cases[0]['expected_signature'] !== PUBLISHED_SIGNATURE) {
    fwrite(STDERR, "The published example does not come out as published.\n");
    exit(1);
}

$json = json_encode([
    'scheme' => 'v1,base64(HMAC-SHA256(id.timestamp.payload)), keyed with the base64-decoded secret',
    'cases' => $cases,
], JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR);

file_put_contents(__DIR__.'/webhook_signatures.json', $json."\n");
