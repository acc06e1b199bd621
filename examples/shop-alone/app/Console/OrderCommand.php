<?php

declare(strict_types=1);

namespace Shop\Console;

use Illuminate\Console\Command;
use Shop\Integration\BackRoom;
use Shop\Order;

/**
 * A sale over the counter: what POST /orders does, from the shell.
 */
final class OrderCommand extends Command
{
    protected $signature = 'shop:order {product} {email} {--name=} {--phone=}';

    protected $description = 'Registra un pedido y lo anuncia';

    public function handle(BackRoom $backRoom): int
    {
        $product = (string) $this->argument('product');

        if (config("shop.products.$product") === null) {
            $this->error("No vendemos «{$product}». Productos: ".implode(', ', array_keys(config('shop.products'))).'.');

            return self::FAILURE;
        }

        $answer = $backRoom->announce(Order::place([
            'product' => $product,
            'email' => (string) $this->argument('email'),
            'name' => $this->option('name'),
            'phone' => $this->option('phone'),
        ]));

        $this->line((string) json_encode($answer, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE));

        return $answer['problems'] === [] ? self::SUCCESS : self::FAILURE;
    }
}
