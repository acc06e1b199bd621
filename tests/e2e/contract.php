<?php

declare(strict_types=1);

/*
 * Makes every kind of call from inside a shop, over the configured transport, and prints what came of each as JSON, with
 * ids cut to their prefix so that transports can be compared:
 *
 *   php contract.php SHOP_DIRECTORY ORDER_PREFIX
 */

use Illuminate\Contracts\Console\Kernel;
use Trastienda\Exception\InvalidRequest;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Facades\Trastienda;

[, $shop, $prefix] = $argv;
chdir($shop);
$app = require "$shop/bootstrap/app.php";
$app->make(Kernel::class)->bootstrap();

$order = "$prefix-1";
$nobody = '019cafe00000700080000000000000ff';
$payment = ['order_id' => $order, 'amount' => '1500.00', 'currency' => 'ARS', 'description' => 'Mate', 'method' => 'checkout', 'payer' => ['email' => 'eva@example.com']];

$calls = [
    'event' => fn () => Trastienda::event('order.created', ['order_id' => $order]),
    'event without its order' => fn () => Trastienda::event('order.created', ['total' => '1.00']),
    'event of an impossible type' => fn () => Trastienda::event('Order Created', ['order_id' => $order]),
    'event with a key' => fn () => Trastienda::event('stock.counted', ['n' => 1], ['idempotency_key' => "$prefix-key"]),
    'the same key again' => fn () => Trastienda::event('stock.counted', ['n' => 1], ['idempotency_key' => "$prefix-key"]),
    'the same key, another body' => fn () => Trastienda::event('stock.counted', ['n' => 2], ['idempotency_key' => "$prefix-key"]),
    'unknown fields' => fn () => Trastienda::request('POST', '/v1/events', ['type' => 'a.b', 'data' => ['x' => 1], 'colour' => 'red', 'size' => 2]),
    'mail' => fn () => Trastienda::notify(['channel' => 'email', 'to' => "$prefix@example.com", 'subject' => 'Hola', 'text' => 'Hola'])['status'],
    'mail to nowhere' => fn () => Trastienda::notify(['channel' => 'email', 'to' => 'nowhere', 'subject' => "a\nb", 'text' => 'Hola']),
    'WhatsApp, waiting' => fn () => Trastienda::notify(['channel' => 'whatsapp', 'to' => '+54 9 341 555-1234', 'text' => 'Hola'], ['wait' => 10])['whatsapp']['link'],
    'payment' => fn () => array_intersect_key(Trastienda::payments()->create($payment)->toArray(), ['status' => 1, 'amount' => 1, 'currency' => 1]),
    'its page' => fn () => parse_url(Trastienda::payments()->create($payment)['checkout_url'], PHP_URL_PATH),
    'the same payment again' => fn () => Trastienda::payments()->create($payment)['id'] === Trastienda::payments()->create($payment)['id'],
    'an impossible payment' => fn () => Trastienda::payments()->create(['order_id' => "$prefix-2", 'amount' => '15,00', 'currency' => 'XXX'] + $payment),
    'reading the payment' => fn () => Trastienda::payments()->get(Trastienda::payments()->create($payment)['id'])['order_id'] === $order,
    'a payment that is not there' => fn () => Trastienda::payments()->get("pay_$nobody"),
    'an event that is not there' => fn () => Trastienda::request('GET', "/v1/events/evt_$nobody"),
    'a path that is not there' => fn () => Trastienda::request('GET', '/v1/nothing'),
    'a flag that nobody set' => fn () => [Trastienda::feature('no_such_flag', true), Trastienda::feature('no_such_flag', false)],
    'the project' => fn () => array_intersect_key(Trastienda::request('GET', '/v1/project'), ['name' => 1, 'mode' => 1, 'plan' => 1]),
];

$outcomes = [];
foreach ($calls as $what => $call) {
    try {
        $outcomes[$what] = $call();
    } catch (TrastiendaException $exception) {
        $errors = $exception instanceof InvalidRequest ? $exception->errors() : [];
        $outcomes[$what] = [
            'exception' => class_basename($exception),
            'status' => $exception->getCode(),
            'code' => $exception->problemCode(),
            'errors' => array_column($errors, 'message', 'pointer'),
            'has a request id' => $exception->requestId() !== null,
        ];
    }
}

$repeated = $outcomes['event with a key'] === $outcomes['the same key again'];
$text = preg_replace('/\b([a-z]{3})_[0-9a-f]{32}\b/', '$1_…', json_encode($outcomes, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR));
echo str_replace($prefix, 'PREFIX', $text), "\n", json_encode($repeated), "\n";
