<?php
/*
 * A small stand-in for the agent, for the tests of the extension.
 *
 *     php stub_agent.php SOCKET JSON
 *
 * JSON is a list with what to do about each request in turn (the last one counts for all that follow):
 *   {"status": 422, "headers": {…}, "body": …}   answer so (a body that is not a string is sent as JSON)
 *   {"status": 200, "fill": 9}                   answer with that many bytes
 *   {"raw": "HTTP/1.1 …"}                        answer with these bytes
 *   {"then": "close"}                            besides the above: close the connection afterwards
 *   {"do": "close"}                              close the connection without an answer
 *   {"do": "hang"}                               never answer
 *   {}                                           answer 202 and the id that was sent
 *   {"trickle": 20, …}                           as above, a byte of the answer every so many milliseconds
 *   {"after": 2, …}                              as above, so many milliseconds after the request was read
 * and {"do": "ignore"} as the only entry: accept connections and read nothing.
 *
 * It prints "ready" once it listens, and one line of JSON per request before it answers ("quiet": true in the first entry: none).
 */

[, $path, $json] = $argv;
$script = json_decode($json, true) ?: [[]];
$server = stream_socket_server("unix://$path") ?: exit(1);
$ignore = ($script[0]['do'] ?? null) === 'ignore';
$quiet = $script[0]['quiet'] ?? false;
$connections = $buffers = [];
$accepted = $handled = 0;
echo "ready\n";

while (true) {
    $read = ['server' => $server] + ($ignore ? [] : $connections);
    // The helper holds the other end of our input: when the test ends, however it ends, so do we.
    $read['input'] = STDIN;
    $write = $except = null;
    stream_select($read, $write, $except, null);
    foreach ($read as $key => $stream) {
        if ($key === 'input') {
            exit(0);
        }
        if ($key === 'server') {
            $connections[++$accepted] = stream_socket_accept($server);
            $buffers[$accepted] = '';
            stream_set_blocking($connections[$accepted], false);
            continue;
        }
        $bytes = fread($stream, 1 << 20);
        if ($bytes === false || $bytes === '') {
            fclose($stream);
            unset($connections[$key]);
            continue;
        }
        $buffers[$key] .= $bytes;
        while (isset($connections[$key]) && ($request = next_request($buffers[$key])) !== null) {
            $step = $script[min($handled++, count($script) - 1)];
            $quiet || fwrite(STDOUT, json_encode($request + ['connection' => $key]) . "\n");
            $reply = reply($step, $request);
            if ($reply !== null) {
                usleep(1000 * ($step['after'] ?? 0));
                stream_set_blocking($stream, true);
                foreach (isset($step['trickle']) ? str_split($reply) : [$reply] as $part) {
                    if (@fwrite($stream, $part) === false) {
                        break;
                    }
                    usleep(1000 * ($step['trickle'] ?? 0));
                }
                stream_set_blocking($stream, false);
            }
            if (($step['do'] ?? $step['then'] ?? null) === 'close') {
                fclose($stream);
                unset($connections[$key]);
            }
        }
    }
}

/** Takes one whole request off the front of a buffer. */
function next_request(string &$buffer): ?array
{
    $end = strpos($buffer, "\r\n\r\n");
    if ($end === false) {
        return null;
    }
    $lines = explode("\r\n", substr($buffer, 0, $end));
    [$method, $target] = explode(' ', array_shift($lines));
    $headers = [];
    foreach ($lines as $line) {
        [$name, $value] = explode(': ', $line, 2);
        $headers[$name] = isset($headers[$name]) ? "$headers[$name] | $value" : $value;
    }
    $length = (int) ($headers['content-length'] ?? 0);
    if (strlen($buffer) < $end + 4 + $length) {
        return null;
    }
    $body = substr($buffer, $end + 4, $length);
    $buffer = substr($buffer, $end + 4 + $length);
    // What is reported passes through a pipe that nobody reads during a call: it has to fit.
    return compact('method', 'target', 'headers') + ['body' => substr($body, 0, 16384), 'size' => $length];
}

function reply(array $step, array $request): ?string
{
    if (isset($step['raw'])) {
        return $step['raw'];
    }
    if (isset($step['do'])) {
        return null;
    }
    $body = isset($step['fill']) ? str_repeat('x', $step['fill']) : $step['body'] ?? ['id' => json_decode($request['body'], true)['id'] ?? null];
    $headers = $step['headers'] ?? [];
    if (!is_string($body)) {
        $body = json_encode($body);
        $headers += ['Content-Type' => 'application/json'];
    }
    $reply = 'HTTP/1.1 ' . ($step['status'] ?? 202) . " Whatever\r\nContent-Length: " . strlen($body) . "\r\n";
    foreach ($headers as $name => $values) {
        foreach ((array) $values as $value) {
            $reply .= "$name: $value\r\n";
        }
    }
    return "$reply\r\n$body";
}
