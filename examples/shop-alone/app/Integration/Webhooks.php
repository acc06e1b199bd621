<?php

declare(strict_types=1);

namespace Shop\Integration;

use Illuminate\Support\Facades\DB;

/**
 * Outgoing webhooks: an event is written down, and a delivery for each endpoint, in the caller's transaction.
 */
final class Webhooks
{
    /**
     * @param  array<string, mixed>  $data
     */
    public function send(string $type, array $data): string
    {
        $id = 'evt_'.bin2hex(random_bytes(16));
        $body = json_encode(['id' => $id, 'type' => $type, 'timestamp' => now()->toIso8601ZuluString('millisecond'), 'project' => config('shop.code'), 'data' => $data], JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE);

        foreach (config('integration.webhooks.endpoints') as $endpoint) {
            [$url, $secret] = explode('|', $endpoint, 2);
            $delivery = DB::table('webhook_deliveries')->insertGetId(['event_id' => $id, 'type' => $type, 'url' => $url, 'body' => $body, 'status' => 'pending', 'attempts' => 0, 'created_at' => now()]);
            DeliverWebhook::dispatch($delivery, $secret);
        }

        return $id;
    }

    public static function sign(string $id, int $at, string $body, string $secret): string
    {
        return 'v1,'.base64_encode(hash_hmac('sha256', "$id.$at.$body", (string) base64_decode(substr($secret, 6), true), true));
    }
}
