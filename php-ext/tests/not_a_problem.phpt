--TEST--
Answers that are no problem documents still have their class and status
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(
    ['status' => 502, 'headers' => ['Content-Type' => 'text/html'], 'body' => '<h1>Bad gateway</h1>'],
    ['status' => 422, 'body' => ['message' => 'something else']],
    ['status' => 302, 'headers' => ['Location' => '/'], 'body' => ''],
    ['raw' => "SSH-2.0-OpenSSH_9.2\r\n\r\n", 'then' => 'close'],
    ['status' => 200, 'body' => 'not json'],
);

show(fn () => trastienda_event('a.b', []));
show(fn () => trastienda_event('a.b', []));
show(fn () => trastienda_event('a.b', []));
echo get_class(thrown(fn () => trastienda_event('a.b', []))), "\n";
show(fn () => trastienda_status());
?>
--EXPECT--
HubUnavailable 502: the answer has status 502 and no problem document
InvalidRequest 422: the answer has status 422 and no problem document
TrastiendaException 302: the answer has status 302 and no problem document
Trastienda\Exception\OutcomeUnknown
TrastiendaException 0: the answer is not JSON: Syntax error
