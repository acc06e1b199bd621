<?php

declare(strict_types=1);

namespace Trastienda\Examples\TimeSaved;

use RuntimeException;
use Trastienda\Examples\Tests\RunningShop;
use Trastienda\Laravel\Tests\Support\RealStack;

/**
 * The second shop joins a hub that is there, timed from nothing to its first delivered event; then
 * three changes that no shop has a commit for.
 */
final class Scenario
{
    /** @var array<string, float> seconds, by step */
    public array $steps = [];

    /** @var array<string, string> what changed => what came of it */
    public array $changes = [];

    private float $since = 0.0;

    public function __construct(private readonly RealStack $stack)
    {
    }

    public function run(): void
    {
        $this->since = microtime(true);
        [$project, $key] = $this->stack->createProject('Librería del Sur', 'libros.example.com');
        $this->step('the project is created and its key shown');

        $socket = $this->stack->startAgent('libro', $key);
        $this->step('the agent runs beside the shop');

        $shop = RunningShop::copyOf('shop-b', $this->stack->path('libro-shop'));

        try {
            $this->succeed($shop->artisan('trastienda:install', '--no-interaction', "--key=$key", "--url={$this->stack->hub}", "--socket=$socket", "--webhook-url={$shop->url()}/webhooks/trastienda"));
            $this->step('`trastienda:install`: `.env`, tables, the endpoint at the hub and its secret');

            $shop->serve();
            $this->step('the shop opens');

            $order = $this->sell($shop);
            $this->step('a customer orders');

            RealStack::until('order.created is delivered', fn (): bool => $this->heard($shop, 'order.created', $order));
            $this->step('`order.created` is delivered, signed, to the shop');

            $before = $this->fingerprint($shop);
            $this->template($shop, $key);
            $this->rule($shop, $project, $key);
            $this->schedule($shop, $key);

            if ($before !== $this->fingerprint($shop)) {
                throw new RuntimeException('A file of the shop changed.');
            }
        } finally {
            $shop->stop();
        }
    }

    private function template(RunningShop $shop, string $key): void
    {
        $body = ['channel' => 'email', 'locale' => 'es', 'subject' => 'Gracias por el pedido {{ order_id }}', 'text' => 'Hola {{ customer_name }}: envío gratis hasta el domingo.'];
        [$status, $made] = $this->stack->call('PUT', '/v1/templates/order_confirmation', $body, $key);
        $this->expect($status === 201, "the template: $status");
        $this->stack->call('POST', '/v1/templates/order_confirmation/activate', ['version' => $made['version'], 'channel' => 'email', 'locale' => 'es'], $key);
        $this->sell($shop, 'plantilla@example.com');
        $text = $this->stack->mailTo('plantilla@example.com')['text'];
        $this->expect(str_contains($text, 'envío gratis hasta el domingo'), "the mail still says: $text");
        $this->changes['A template'] = '`PUT /v1/templates/order_confirmation`: the next order\'s mail has the new text';
    }

    private function rule(RunningShop $shop, string $project, string $key): void
    {
        $seller = $this->stack->seller;
        $this->stack->call('PUT', '/v1/payment-providers/mercadopago', ['access_token' => $seller['access_token'], 'webhook_secret' => $seller['webhook_secret']], $key);
        [$first, $second] = [$this->sell($shop), $this->sell($shop)];
        RealStack::http('PUT', "{$this->stack->hub}/admin/v1/projects/$project/limits", ['payments_per_day' => 1], RealStack::ADMIN);
        $this->expect($shop->call('POST', "/orders/$first/checkout")[0] === 200, 'the first payment was refused');
        $this->expect($shop->call('POST', "/orders/$second/checkout")[0] === 503, 'the second payment was not refused');
        RealStack::http('PUT', "{$this->stack->hub}/admin/v1/projects/$project/limits", ['payments_per_day' => null], RealStack::ADMIN);
        $this->expect($shop->call('POST', "/orders/$second/checkout")[0] === 200, 'the payment is still refused');
        $this->changes['A payment rule'] = '`payments_per_day` of the project from its plan\'s to 1 and back: the second checkout of the day was refused, and then was not';
    }

    private function schedule(RunningShop $shop, string $key): void
    {
        $endpoint = $this->stack->call('GET', '/v1/webhook-endpoints', null, $key)[1]['data'][0]['id'];
        [$status] = $this->stack->call('PATCH', "/v1/webhook-endpoints/$endpoint", ['retry_schedule' => array_fill(0, 30, 1)], $key);
        $this->expect($status === 200, "the schedule: $status");
        $shop->stop();
        [, $event] = $this->stack->call('POST', '/v1/events', ['type' => 'order.packed', 'data' => ['order_id' => 'S-1']], $key);
        $attempts = fn (): int => (int) ($this->stack->call('GET', "/v1/events/{$event['id']}", null, $key)[1]['deliveries'][0]['attempt_count'] ?? 0);
        RealStack::until('three attempts', fn (): bool => $attempts() >= 3);
        $shop->serve();
        RealStack::until('it is delivered', fn (): bool => $this->heard($shop, 'order.packed', 'S-1'));
        $this->changes['A webhook schedule'] = '`PATCH /v1/webhook-endpoints/{id}` to a try each second: with the shop away three were made in seconds (the default\'s third comes after a minute), and it was delivered when the shop came back';
    }

    private function sell(RunningShop $shop, string $email = 'ana@example.com'): string
    {
        [$status, $text, $order] = $shop->call('POST', '/orders', (string) json_encode(['product' => 'rayuela', 'email' => $email, 'name' => 'Ana']));
        $this->expect($status === 201 && $order['problems'] === [], "the order: $status $text");

        return $order['order_id'];
    }

    private function heard(RunningShop $shop, string $type, string $order): bool
    {
        return array_filter($shop->call('GET', '/received')[2]['data'] ?? [], fn (array $row): bool => [$row['type'], $row['order_id']] === [$type, $order]) !== [];
    }

    private function fingerprint(RunningShop $shop): string
    {
        return implode(array_map('sha1_file', $shop->files()));
    }

    private function step(string $what): void
    {
        $now = microtime(true);
        $this->steps[$what] = $now - $this->since;
        $this->since = $now;
    }

    /**
     * @param  array{int, string}  $result
     */
    private function succeed(array $result): void
    {
        $this->expect($result[0] === 0, $result[1]);
    }

    private function expect(bool $is, string $otherwise): void
    {
        if (! $is) {
            throw new RuntimeException($otherwise);
        }
    }
}
