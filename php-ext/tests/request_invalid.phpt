--TEST--
Nothing that would break the framing is sent
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start([]);

show(fn () => trastienda_request("GET /x HTTP/1.1\r\n", '/v1/events'));
show(fn () => trastienda_request('', '/v1/events'));
show(fn () => trastienda_request('GET', 'v1/events'));
show(fn () => trastienda_request('GET', '/v1/events with space'));
show(fn () => trastienda_request('GET', "/v1\r\nX: y"));
show(fn () => trastienda_request('GET', '/v1/events', null, ['X-A' => "a\r\nX-B: c"]));
show(fn () => trastienda_request('GET', '/v1/events', null, ["X A" => 'a']));
show(fn () => trastienda_request('GET', '/v1/events', null, ['Content-Length' => '5']));
show(fn () => trastienda_request('GET', '/v1/events', null, ['X-A' => null]));
check('nothing was sent', $agent->unseen() === 0);
?>
--EXPECT--
InvalidRequest 0: `/method` must be an HTTP method
InvalidRequest 0: `/method` must be an HTTP method
InvalidRequest 0: `/path` must start with `/` and be percent-encoded
InvalidRequest 0: `/path` must start with `/` and be percent-encoded
InvalidRequest 0: `/path` must start with `/` and be percent-encoded
InvalidRequest 0: `/headers/x-a` must be text on one line, or a list of such
InvalidRequest 0: `/headers/x a` must be a header's name
InvalidRequest 0: `/headers/content-length` is set by the extension itself
InvalidRequest 0: `/headers/x-a` must be text on one line, or a list of such
nothing was sent: yes
