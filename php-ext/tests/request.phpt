--TEST--
Any other call passes through, and no answer is an exception
--FILE--
<?php
require __DIR__ . '/agent.inc';
$agent = StubAgent::start(
    ['status' => 200, 'body' => ['data' => [['id' => 1]]], 'headers' => ['X-Request-Id' => 'r1', 'Link' => ['a', 'b', 'c']]],
    ['status' => 404, 'body' => ['code' => 'not_found'], 'headers' => ['Content-Type' => 'application/problem+json; charset=utf-8']],
    ['status' => 204, 'body' => ''],
    ['status' => 200, 'body' => "# metrics\n", 'headers' => ['Content-Type' => 'text/plain']],
    ['status' => 200, 'body' => '{broken', 'headers' => ['Content-Type' => 'application/json']],
);

$answer = trastienda_request('get', '/v1/events?limit=1', null, ['X-Request-Id' => 'r1', 'Accept-Language' => ['es', 'pt'], 'X-Number' => 5]);
print_r($answer);
$request = $agent->request();
echo $request['method'], ' ', $request['target'], ' ', $request['headers']['x-request-id'], ' ', $request['headers']['accept-language'], ' ', $request['headers']['x-number'], "\n";
$answer = trastienda_request('POST', '/v1/x', []);
echo $answer['status'], ' ', $answer['body']['code'], ' ', $agent->request()['body'], "\n";
var_dump(trastienda_request('DELETE', '/v1/x')['body']);
var_dump(trastienda_request('GET', '/agent/metrics')['body']);
var_dump(trastienda_request('GET', '/v1/x')['body']);
?>
--EXPECT--
Array
(
    [status] => 200
    [headers] => Array
        (
            [content-length] => 19
            [x-request-id] => r1
            [link] => Array
                (
                    [0] => a
                    [1] => b
                    [2] => c
                )

            [content-type] => application/json
        )

    [body] => Array
        (
            [data] => Array
                (
                    [0] => Array
                        (
                            [id] => 1
                        )

                )

        )

)
GET /v1/events?limit=1 r1 es | pt 5
404 not_found {}
NULL
string(10) "# metrics
"
string(7) "{broken"
