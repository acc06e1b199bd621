<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Payments;

use ArrayAccess;
use Illuminate\Contracts\Support\Arrayable;
use JsonSerializable;

/**
 * A payment as the hub knew it when it answered.
 *
 * @implements Arrayable<array-key, mixed>
 * @implements ArrayAccess<string, mixed>
 */
final class Payment implements Arrayable, ArrayAccess, JsonSerializable
{
    use Document;

    /**
     * @param  string|null  $detail  beneath the status: `in_process`, `cancelled`, `expired`, `refunded`, `charged_back`, `rejected_…`
     * @param  string|null  $externalId  the provider's payment; null until there is one
     * @param  string|null  $providerReference  the provider's preference or order
     * @param  string|null  $checkoutUrl  where to send the customer, for `checkout`
     * @param  string|null  $qrCode  what the customer scans or copies, for `pix`
     * @param  list<Refund>  $refunds
     * @param  list<array<array-key, mixed>>  $timeline  what happened, oldest first; only in `get()`
     * @param  array<array-key, mixed>  $document
     */
    private function __construct(
        public readonly string $id,
        public readonly PaymentStatus $status,
        public readonly ?string $detail,
        public readonly ?string $orderId,
        public readonly ?string $amount,
        public readonly ?string $amountRefunded,
        public readonly ?string $currency,
        public readonly ?string $method,
        public readonly ?string $provider,
        public readonly ?string $externalId,
        public readonly ?string $providerReference,
        public readonly ?string $checkoutUrl,
        public readonly ?string $qrCode,
        public readonly ?string $ticketUrl,
        public readonly array $refunds,
        public readonly array $timeline,
        array $document,
    ) {
        $this->document = $document;
    }

    /**
     * @param  array<array-key, mixed>  $document  a payment of the API, or the data of a `payment.*` event
     */
    public static function fromArray(array $document): self
    {
        $text = fn (string $name): ?string => self::text($document, $name);
        $rows = fn (string $name): array => array_values(array_filter((array) ($document[$name] ?? []), 'is_array'));

        return new self(
            id: $text('id') ?? $text('payment_id') ?? '',
            status: PaymentStatus::read($document['status'] ?? null),
            detail: $text('detail'),
            orderId: $text('order_id'),
            amount: $text('amount'),
            amountRefunded: $text('amount_refunded'),
            currency: $text('currency'),
            method: $text('method'),
            provider: $text('provider'),
            externalId: $text('external_id'),
            providerReference: $text('provider_reference'),
            checkoutUrl: $text('checkout_url'),
            qrCode: $text('qr_code'),
            ticketUrl: $text('ticket_url'),
            refunds: array_map(Refund::fromArray(...), $rows('refunds')),
            timeline: $rows('timeline'),
            document: $document,
        );
    }

    public function isPaid(): bool
    {
        return $this->status === PaymentStatus::Paid;
    }

    public function isPending(): bool
    {
        return $this->status === PaymentStatus::Pending;
    }

    public function isFailed(): bool
    {
        return $this->status === PaymentStatus::Failed;
    }

    /**
     * Whether all of it was given back.
     */
    public function isRefunded(): bool
    {
        return $this->detail === 'refunded';
    }
}
