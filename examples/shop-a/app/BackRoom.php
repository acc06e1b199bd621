<?php

declare(strict_types=1);

namespace Shop;

use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Payments\Payment;

/**
 * Everything this shop asks of Trastienda.
 */
final class BackRoom
{
    /** @var list<string> */
    private array $problems = [];

    /**
     * Tells the hub about a new order and confirms it to the customer.
     *
     * The order is already the shop's own: whatever fails here is reported and said in
     * the answer, and never loses the sale.
     *
     * @return array<string, mixed>
     */
    public function announce(Order $order): array
    {
        $this->problems = [];

        $event = $this->attempt(fn (): string => Trastienda::event('order.created', $order->summary() + ['customer_email' => $order->email]));
        $mail = $this->attempt(fn (): array => $this->mail($order));
        $whatsapp = $this->attempt(fn (): array => $this->whatsapp($order));

        $order->update(['event_id' => $event, 'notification_id' => $mail['id'] ?? null]);

        return [
            'order_id' => $order->id,
            'event_id' => $event,
            'notification_id' => $mail['id'] ?? null,
            'whatsapp' => $whatsapp['whatsapp'] ?? null,
            'problems' => $this->problems,
        ];
    }

    public function checkout(Order $order): Payment
    {
        $page = url("/orders/$order->id");

        return Trastienda::payments()->create([
            'order_id' => $order->id,
            'amount' => $order->total,
            'currency' => $order->currency,
            'description' => $order->productName(),
            'method' => 'checkout',
            'payer' => ['email' => $order->email, 'first_name' => $order->name],
            'back_urls' => ['success' => $page, 'pending' => $page, 'failure' => $page],
        ]);
    }

    /**
     * @return array<string, mixed>
     */
    private function mail(Order $order): array
    {
        return Trastienda::notify([
            'channel' => 'email',
            'to' => $order->email,
            'template' => 'order_confirmation',
            'data' => $order->summary(),
            'order_id' => $order->id,
        ]);
    }

    /**
     * The link with which a person at the shop writes to the customer.
     *
     * @return array<string, mixed>
     */
    private function whatsapp(Order $order): array
    {
        if ($order->phone === null) {
            return [];
        }

        return Trastienda::notify([
            'channel' => 'whatsapp',
            'to' => $order->phone,
            'text' => "Hola $order->name, recibimos tu pedido $order->id: {$order->productName()}, $order->total $order->currency. ¡Gracias!",
            'order_id' => $order->id,
        ], ['wait' => 5]);
    }

    /**
     * @template T
     *
     * @param  callable(): T  $call
     * @return T|null
     */
    private function attempt(callable $call): mixed
    {
        try {
            return $call();
        } catch (TrastiendaException $exception) {
            report($exception);
            $this->problems[] = $exception->getMessage();

            return null;
        }
    }
}
