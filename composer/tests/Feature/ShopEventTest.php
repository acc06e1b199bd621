<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Database\Eloquent\Model;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Event;
use Trastienda\Exception\AgentUnavailable;
use Trastienda\Laravel\Contracts\ShouldReachTrastienda;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Tests\TestCase;

final class ShopEventTest extends TestCase
{
    public function test_an_event_of_the_shop_reaches_the_hub_by_its_name_and_properties(): void
    {
        Trastienda::fake();

        event(new OrderShipped((new ShopOrder())->forceFill(['id' => 7, 'total' => '10.00']), 'AR-123'));

        Trastienda::assertEventSent('order.shipped', fn (array $data): bool => $data === ['order' => ['id' => 7, 'total' => '10.00'], 'tracking_code' => 'AR-123', 'order_id' => '7']);
    }

    public function test_it_may_say_everything_itself(): void
    {
        Trastienda::fake();

        event(new Restocked('x', 5));
        event(new Restocked('x', 0));

        Trastienda::assertEventSent('stock.restocked', 1);
        Trastienda::assertEventSent('stock.restocked', ['sku' => 'x', 'count' => 5]);
    }

    public function test_it_leaves_after_the_transaction_and_the_shops_own_listeners_hear_at_once(): void
    {
        $agent = $this->agent();
        $heard = [];
        Event::listen(Restocked::class, function (Restocked $event) use (&$heard): void {
            $heard[] = $event->count;
        });

        DB::transaction(function () use ($agent, &$heard): void {
            event(new Restocked('x', 5));
            self::assertSame([[5], []], [$heard, $agent->requests()]);
        });

        self::assertCount(1, $agent->requests());
    }

    public function test_it_never_breaks_whoever_dispatched_it(): void
    {
        $reported = $this->reported();

        event(new Restocked('x', 5));

        self::assertInstanceOf(AgentUnavailable::class, $reported[0]);

        $this->configure(['transport' => 'pigeon']);
        event(new Restocked('x', 5));
        self::assertCount(2, $reported);
    }
}

final class ShopOrder extends Model
{
}

final class OrderShipped implements ShouldReachTrastienda
{
    public ?string $socket = 'of somebody else';

    public function __construct(public ShopOrder $order, public string $trackingCode)
    {
    }
}

final class Restocked implements ShouldReachTrastienda
{
    public function __construct(public string $sku, public int $count)
    {
    }

    public function trastiendaType(): string
    {
        return 'stock.restocked';
    }

    /**
     * @return array<string, mixed>
     */
    public function trastiendaData(): array
    {
        return ['sku' => $this->sku, 'count' => $this->count];
    }

    public function shouldReachTrastienda(): bool
    {
        return $this->count > 0;
    }
}
