<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Testing;

use Trastienda\Laravel\Ids;

/**
 * What the hub says in each of its events, made up: give what matters to the test, the rest
 * is plausible.
 */
final class Payloads
{
    /**
     * The data of an event of this type; of a type of the shop's own, what is given.
     *
     * @param  array<array-key, mixed>  $given
     * @return array<array-key, mixed>
     */
    public static function for(string $type, array $given = []): array
    {
        if (is_int($given['order_id'] ?? null)) {
            $given['order_id'] = (string) $given['order_id'];
        }

        return $given + match (true) {
            $type === 'order.created' => ['order_id' => 'A-1', 'total' => '1500.00', 'currency' => 'ARS'],
            $type === 'order.paid' => self::payment('paid', $given) + ['paid_amount' => self::amount($given)],
            $type === 'payment.paid' => self::payment('paid', $given),
            $type === 'payment.failed' => ['detail' => 'rejected_insufficient_amount', 'paid_at' => null] + self::payment('failed', $given),
            $type === 'payment.refunded' => ['detail' => 'refunded', 'amount_refunded' => self::amount($given)] + self::payment('paid', $given),
            $type === 'payment.disputed' => ['detail' => 'in_mediation', 'dispute' => 'open'] + self::payment('paid', $given),
            $type === 'notification.sent' => self::notification('sent', null),
            $type === 'notification.failed' => self::notification('failed', 'rejected'),
            $type === 'webhook.test' => ['message' => 'Esta es una entrega de prueba de Trastienda.'],
            default => [],
        };
    }

    /**
     * A payment as the API gives it.
     *
     * @param  array<array-key, mixed>  $given
     * @return array<array-key, mixed>
     */
    public static function apiPayment(array $given = []): array
    {
        $id = is_string($given['id'] ?? null) ? $given['id'] : Ids::payment();
        $method = $given['method'] ?? 'checkout';
        $now = gmdate('Y-m-d\TH:i:s.000\Z');

        return $given + [
            'id' => $id,
            'status' => 'pending',
            'detail' => null,
            'provider' => 'mercadopago',
            'external_id' => null,
            'provider_reference' => '2100000001-'.substr($id, -8),
            'checkout_url' => $method === 'checkout' ? "https://pago.example/checkout/$id" : null,
            'qr_code' => $method === 'pix' ? '00020126580014br.gov.bcb.pix0136'.substr($id, 4).'5204000053039865802BR5904Loja6008Curitiba6304ABCD' : null,
            'ticket_url' => $method === 'ticket' ? "https://pago.example/ticket/$id" : null,
            'method' => $method,
            'order_id' => 'A-1',
            'amount' => '1500.00',
            'order_amount' => $given['amount'] ?? '1500.00',
            'amount_refunded' => '0.00',
            'currency' => 'ARS',
            'description' => '',
            'metadata' => [],
            'created_at' => $now,
            'updated_at' => $now,
            'refunds' => [],
            'timeline' => [],
        ];
    }

    /**
     * @param  array<array-key, mixed>  $given
     * @return array<string, mixed>
     */
    private static function payment(string $status, array $given): array
    {
        return [
            'payment_id' => Ids::payment(),
            'order_id' => 'A-1',
            'status' => $status,
            'detail' => null,
            'dispute' => null,
            'provider' => 'mercadopago',
            'method' => 'checkout',
            'external_id' => '123456789012',
            'provider_reference' => '2100000001-0a1b2c3d',
            'amount' => self::amount($given),
            'amount_refunded' => '0.00',
            'order_amount' => self::amount($given),
            'currency' => 'ARS',
            'metadata' => [],
            'paid_at' => gmdate('Y-m-d\TH:i:s.000\Z'),
        ];
    }

    /**
     * @return array<string, mixed>
     */
    private static function notification(string $status, ?string $detail): array
    {
        return [
            'notification_id' => Ids::notification(),
            'channel' => 'email',
            'status' => $status,
            'detail' => $detail,
            'template' => 'order_confirmation',
            'order_id' => 'A-1',
            'metadata' => [],
        ];
    }

    /**
     * @param  array<array-key, mixed>  $given
     */
    private static function amount(array $given): string
    {
        return is_string($given['amount'] ?? null) ? $given['amount'] : '1500.00';
    }
}
