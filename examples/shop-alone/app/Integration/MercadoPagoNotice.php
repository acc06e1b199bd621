<?php

declare(strict_types=1);

namespace Shop\Integration;

use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\DB;

/**
 * Mercado Pago's door: verified, written down before it is answered, asked about after.
 */
final class MercadoPagoNotice
{
    public function __invoke(Request $request): JsonResponse
    {
        // PHP makes data_id of data.id, so the query is read as it came.
        parse_str(str_replace('data.id', 'data-id', (string) $request->server('QUERY_STRING')), $query);
        $id = strtolower((string) ($query['data-id'] ?? ''));
        preg_match('/ts=([0-9]+)/', (string) $request->header('x-signature'), $at);
        preg_match('/v1=([0-9a-f]{64})/', (string) $request->header('x-signature'), $given);
        $manifest = "id:$id;request-id:{$request->header('x-request-id')};ts:".($at[1] ?? '').';';

        if (! hash_equals(hash_hmac('sha256', $manifest, (string) config('integration.mercadopago.secret')), $given[1] ?? '')) {
            return new JsonResponse(['code' => 'invalid_signature'], 401);
        }

        if (($query['type'] ?? $request->input('type')) !== 'payment') {
            return new JsonResponse(['received' => true]);
        }

        DB::table('payment_notices')->insert(['provider_id' => $id, 'request_id' => (string) $request->header('x-request-id'), 'received_at' => now()]);
        AskPayment::dispatch($id);

        return new JsonResponse(['received' => true]);
    }
}
