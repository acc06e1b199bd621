<?php

declare(strict_types=1);

// Run by StubServer: php stub_server.php ADDRESS JOURNAL ANSWERS

[, $address, $journal, $json] = $argv;
$answers = json_decode($json, true, 512, JSON_THROW_ON_ERROR);
$hanging = [];

$server = stream_socket_server($address, $number, $message) ?: exit("$message\n");
fwrite(STDOUT, stream_socket_get_name($server, false)."\n");

while ($connection = stream_socket_accept($server, -1)) {
    $head = '';

    while (! str_contains($head, "\r\n\r\n") && ($line = fgets($connection)) !== false) {
        $head .= $line;
    }

    $lines = explode("\r\n", trim($head));
    [$method, $path] = explode(' ', (string) array_shift($lines)) + ['', ''];
    $headers = [];

    foreach ($lines as $line) {
        [$name, $value] = explode(':', $line, 2);
        $headers[strtolower($name)] = trim($value);
    }

    $length = (int) ($headers['content-length'] ?? 0);
    $body = $length > 0 ? (string) stream_get_contents($connection, $length) : '';
    file_put_contents($journal, json_encode(compact('method', 'path', 'headers', 'body'), JSON_THROW_ON_ERROR)."\n", FILE_APPEND);

    $answer = count($answers) > 1 ? array_shift($answers) : $answers[0];

    if (isset($answer['hang'])) {
        $hanging[] = $connection;

        continue;
    }

    if (! isset($answer['drop'])) {
        $id = json_decode($body, true)['id'] ?? '';
        $text = str_replace('{id}', is_string($id) ? $id : '', json_encode($answer['body'] ?? (object) [], JSON_THROW_ON_ERROR));
        $type = $answer['status'] >= 400 ? 'application/problem+json' : 'application/json';
        $extra = '';

        foreach ($answer['headers'] ?? [] as $name => $value) {
            $extra .= "$name: $value\r\n";
        }

        fwrite($connection, "HTTP/1.1 {$answer['status']} Status\r\nContent-Type: $type\r\nConnection: close\r\n$extra".'Content-Length: '.strlen($text)."\r\n\r\n$text");
    }

    fclose($connection);
}
