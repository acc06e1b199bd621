<?php

declare(strict_types=1);

namespace Shop;

use Illuminate\Database\Eloquent\Model;

/**
 * An order of this shop.
 */
final class Order extends Model
{
    public $incrementing = false;

    public $timestamps = false;

    protected $keyType = 'string';

    protected $guarded = [];

    /**
     * @param  array{product: string, email: string, name?: string|null, phone?: string|null}  $input
     */
    public static function place(array $input): self
    {
        return self::create([
            'id' => config('shop.code').'-'.strtoupper(bin2hex(random_bytes(4))),
            'product' => $input['product'],
            'name' => $input['name'] ?? ucfirst(strstr($input['email'], '@', true) ?: $input['email']),
            'email' => $input['email'],
            'phone' => $input['phone'] ?? null,
            'total' => config("shop.products.{$input['product']}.price"),
            'currency' => config('shop.currency'),
            'status' => 'pending',
            'created_at' => now()->toIso8601ZuluString('millisecond'),
        ]);
    }

    /**
     * The order as it is told to others.
     *
     * @return array<string, mixed>
     */
    public function summary(): array
    {
        return [
            'order_id' => $this->id,
            'customer_name' => $this->name,
            'total' => $this->total,
            'currency' => $this->currency,
            'items' => [['name' => $this->productName(), 'quantity' => 1, 'price' => $this->total]],
        ];
    }

    public function productName(): string
    {
        return config("shop.products.{$this->product}.name");
    }
}
