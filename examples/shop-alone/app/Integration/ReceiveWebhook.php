<?php

declare(strict_types=1);

namespace Shop\Integration;

use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\DB;

/**
 * Incoming webhooks of another shop: verified, and handled once.
 */
final class ReceiveWebhook
{
    public function __invoke(Request $request): JsonResponse
    {
        $id = (string) $request->header('webhook-id');
        $at = (int) $request->header('webhook-timestamp');
        $body = (string) $request->getContent();
        $expected = Webhooks::sign($id, $at, $body, (string) config('integration.webhooks.secret'));
        $matches = false;

        foreach (explode(' ', (string) $request->header('webhook-signature')) as $given) {
            $matches = hash_equals($expected, $given) || $matches;
        }

        if (! $matches || $id === '' || abs(time() - $at) > config('integration.webhooks.tolerance')) {
            return new JsonResponse(['code' => 'invalid_signature'], 401);
        }

        $event = json_decode($body, true, 512, JSON_THROW_ON_ERROR);

        $fresh = DB::transaction(function () use ($id, $event): bool {
            if (DB::table('received')->insertOrIgnore([
                'webhook_id' => $id,
                'type' => $event['type'],
                'project' => $event['project'] ?? null,
                'order_id' => $event['data']['order_id'] ?? null,
                'data' => json_encode($event['data'], JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE),
                'received_at' => now()->toIso8601ZuluString('millisecond'),
            ]) === 0) {
                return false;
            }

            return true;
        });

        return new JsonResponse(['received' => true, 'duplicate' => ! $fresh]);
    }
}
