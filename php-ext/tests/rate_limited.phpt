--TEST--
A limit says when to come back, if the answer says so
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(
    ['status' => 429, 'headers' => ['Retry-After' => '17'], 'body' => ''],
    ['status' => 429, 'body' => ''],
    ['status' => 429, 'headers' => ['Retry-After' => 'Wed, 21 Oct 2026 07:28:00 GMT'], 'body' => ''],
);

for ($n = 0; $n < 3; $n++) {
    $exception = thrown(fn () => trastienda_event('a.b', []));
    echo get_class($exception), ' ', var_export($exception->retryAfter(), true), "\n";
}
?>
--EXPECT--
Trastienda\Exception\RateLimited 17
Trastienda\Exception\RateLimited NULL
Trastienda\Exception\RateLimited NULL
