<?php

declare(strict_types=1);

namespace Shop\Listeners;

use Illuminate\Support\Facades\DB;
use Shop\Order;
use Trastienda\Laravel\Webhooks\WebhookReceived;

/**
 * Writes down what the hub says, and marks this shop's own orders as paid.
 */
final class RecordWebhook
{
    public function handle(WebhookReceived $webhook): void
    {
        $order = $webhook->data['order_id'] ?? null;

        DB::table('received')->insert([
            'webhook_id' => $webhook->id,
            'type' => $webhook->type,
            'project' => $webhook->project,
            'order_id' => $order,
            'data' => json_encode($webhook->data, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE),
            'received_at' => now()->toIso8601ZuluString('millisecond'),
        ]);

        if ($webhook->type === 'order.paid') {
            Order::whereKey($order)->update(['status' => 'paid']);
        }
    }
}
