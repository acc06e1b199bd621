--TEST--
Every problem has its exception, with what the problem says
--FILE--
<?php
require __DIR__ . '/agent.inc';
$problem = fn (int $status, string $code) => [
    'status' => $status,
    'headers' => ['Content-Type' => 'application/problem+json'],
    'body' => ['type' => "urn:trastienda:problem:$code", 'title' => 'T', 'status' => $status, 'detail' => "about $code", 'code' => $code, 'request_id' => 'req-1'],
];
$all = [
    [400, 'invalid_json'], [401, 'unauthorized'], [403, 'project_inactive'], [404, 'not_found'], [409, 'conflict'],
    [413, 'body_too_large'], [422, 'validation_failed'], [429, 'quota_exceeded'], [500, 'internal'],
    [503, 'hub_unreachable'], [502, 'bad_gateway'], [504, 'outcome_unknown'], [507, 'buffer_full'],
];
$agent = StubAgent::start(...array_map(fn ($one) => $problem(...$one), $all));

foreach ($all as $ignored) {
    $exception = thrown(fn () => trastienda_event('a.b', []));
    echo substr(get_class($exception), 21), ' ', $exception->getCode(), ' ', $exception->getMessage(), ' ', $exception->problemCode(), ' ', $exception->requestId(), "\n";
}
check('all on one connection', $agent->request()['connection'] === 1 && $agent->unseen() === 12);
?>
--EXPECT--
InvalidRequest 400 about invalid_json invalid_json req-1
Unauthorized 401 about unauthorized unauthorized req-1
Unauthorized 403 about project_inactive project_inactive req-1
InvalidRequest 404 about not_found not_found req-1
InvalidRequest 409 about conflict conflict req-1
InvalidRequest 413 about body_too_large body_too_large req-1
InvalidRequest 422 about validation_failed validation_failed req-1
RateLimited 429 about quota_exceeded quota_exceeded req-1
HubUnavailable 500 about internal internal req-1
HubUnavailable 503 about hub_unreachable hub_unreachable req-1
HubUnavailable 502 about bad_gateway bad_gateway req-1
OutcomeUnknown 504 about outcome_unknown outcome_unknown req-1
BufferFull 507 about buffer_full buffer_full req-1
all on one connection: yes
