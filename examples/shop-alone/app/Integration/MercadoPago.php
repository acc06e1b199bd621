<?php

declare(strict_types=1);

namespace Shop\Integration;

use Illuminate\Http\Client\PendingRequest;
use Illuminate\Support\Facades\Http;
use Shop\Order;

/**
 * The calls of Mercado Pago that a checkout needs.
 */
final class MercadoPago
{
    /**
     * @return array<string, mixed> the preference
     */
    public function createPreference(Order $order, string $reference, string $key): array
    {
        $page = url("/orders/$order->id");

        return $this->client()->withHeaders(['X-Idempotency-Key' => $key])->post('/checkout/preferences', [
            'items' => [['title' => $order->productName(), 'quantity' => 1, 'unit_price' => (float) $order->total, 'currency_id' => $order->currency]],
            'payer' => ['email' => $order->email, 'name' => $order->name],
            'external_reference' => $reference,
            'notification_url' => url('/webhooks/mercadopago').'?source_news=webhooks',
            'back_urls' => ['success' => $page, 'pending' => $page, 'failure' => $page],
        ])->throw()->json();
    }

    /**
     * @return array<string, mixed>
     */
    public function payment(string $id): array
    {
        return $this->client()->get("/v1/payments/$id")->throw()->json();
    }

    /**
     * @return list<array<string, mixed>> a paid preference does not say so: its payments are looked for
     */
    public function paymentsOf(string $reference): array
    {
        return $this->client()->get('/v1/payments/search', ['external_reference' => $reference])->throw()->json('results', []);
    }

    private function client(): PendingRequest
    {
        return Http::baseUrl(config('integration.mercadopago.url'))
            ->withToken(config('integration.mercadopago.token'))
            ->timeout(12)
            ->retry(3, 500, fn ($exception): bool => ! $exception instanceof \Illuminate\Http\Client\RequestException || $exception->response->serverError());
    }
}
