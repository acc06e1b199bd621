<?php

declare(strict_types=1);

namespace Shop\Integration;

use Illuminate\Contracts\Mail\Mailer;
use Illuminate\Support\Facades\DB;
use Shop\Order;
use Throwable;

/**
 * What shop A asks of Trastienda, done here.
 */
final class BackRoom
{
    public function __construct(private readonly Webhooks $webhooks, private readonly Mailer $mailer)
    {
    }

    /**
     * @return array<string, mixed>
     */
    public function announce(Order $order): array
    {
        $problems = [];
        $event = null;

        try {
            $event = DB::transaction(fn (): string => $this->webhooks->send('order.created', $order->summary() + ['customer_email' => $order->email]));
            $this->mailer->to($order->email)->queue(new OrderConfirmation($order->summary()));
        } catch (Throwable $exception) {
            report($exception);
            $problems[] = $exception->getMessage();
        }

        $link = $order->phone === null ? null : WhatsApp::link($order->phone, "Hola $order->name, recibimos tu pedido $order->id: {$order->productName()}, $order->total $order->currency. ¡Gracias!");
        $order->update(['event_id' => $event]);

        return ['order_id' => $order->id, 'event_id' => $event, 'notification_id' => null, 'whatsapp' => $link === null ? null : ['link' => $link], 'problems' => $problems];
    }
}
