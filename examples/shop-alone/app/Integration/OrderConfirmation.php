<?php

declare(strict_types=1);

namespace Shop\Integration;

use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Mail\Mailable;
use Illuminate\Queue\SerializesModels;

/**
 * The mail that confirms an order.
 */
final class OrderConfirmation extends Mailable implements ShouldQueue
{
    use Queueable;
    use SerializesModels;

    public $tries = 10;

    /** @var list<int> */
    public $backoff = [60, 120, 240, 480, 960, 1920, 3840, 7680, 15360];

    /**
     * @param  array<string, mixed>  $order
     */
    public function __construct(public array $order)
    {
    }

    public function build(): self
    {
        return $this->subject("Recibimos tu pedido {$this->order['order_id']}")->view('mail.order_confirmation')->text('mail.order_confirmation_text');
    }
}
