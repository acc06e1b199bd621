<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Artisan;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Event;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\Facades\Schema;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Tests\TestCase;
use Trastienda\Laravel\Webhooks\Door;
use Trastienda\Laravel\Webhooks\Events\NotificationFailed;
use Trastienda\Laravel\Webhooks\Events\OrderPaid;
use Trastienda\Laravel\Webhooks\Events\PaymentRefunded;
use Trastienda\Laravel\Webhooks\Events\WebhookEvent;
use Trastienda\Laravel\Webhooks\WebhookReceived;

final class TypedWebhooksTest extends TestCase
{
    protected function setUp(): void
    {
        parent::setUp();

        self::assertSame(0, Artisan::call('migrate'));
        Route::trastiendaWebhooks();
    }

    public function test_each_type_has_its_event_and_its_words(): void
    {
        $heard = [];
        Event::listen(OrderPaid::class, function (OrderPaid $event) use (&$heard): void {
            $heard[] = [$event->orderId(), $event->data()['paid_amount']];
        });
        Event::listen(PaymentRefunded::class, function (PaymentRefunded $event) use (&$heard): void {
            $heard[] = [$event->orderId(), $event->payment()->id, $event->payment()->isRefunded(), $event->payment()->amountRefunded];
        });
        Event::listen(NotificationFailed::class, function (NotificationFailed $event) use (&$heard): void {
            $heard[] = [$event->channel(), $event->detail()];
        });

        Trastienda::webhook('order.paid', ['order_id' => 'A-1', 'amount' => '10.00'])->post($this)->assertOk();
        Trastienda::webhook('payment.refunded', ['order_id' => 'A-1', 'payment_id' => 'pay_1'])->post($this)->assertOk();
        Trastienda::webhook('notification.failed')->post($this)->assertOk();

        self::assertSame([['A-1', '10.00'], ['A-1', 'pay_1', true, '1500.00'], ['email', 'rejected']], $heard);
    }

    public function test_every_type_of_the_hub_has_a_class_and_what_has_none_is_still_heard(): void
    {
        $typed = $generic = 0;
        Event::listen(WebhookReceived::class, function () use (&$generic): void {
            $generic++;
        });

        foreach (['order.created', 'order.paid', 'payment.paid', 'payment.failed', 'payment.refunded', 'payment.disputed', 'notification.sent', 'notification.failed', 'webhook.test', 'shop.moved'] as $type) {
            $class = (new \Trastienda\Laravel\Webhooks\EventClasses())->for(WebhookReceived::fromBody('evt_1', '0', Trastienda::webhook($type)->body(), null) ?? throw new \LogicException());
            $typed += (int) ($class instanceof WebhookEvent);
            Trastienda::webhook($type)->post($this)->assertOk();
        }

        self::assertSame([9, 10], [$typed, $generic]);
    }

    public function test_a_shop_names_classes_for_its_own_types(): void
    {
        $this->configure(['webhooks.events' => ['stock.low' => StockLow::class]]);
        $heard = [];
        Event::listen(StockLow::class, function (StockLow $event) use (&$heard): void {
            $heard[] = $event->sku();
        });

        Trastienda::webhook('stock.low', ['sku' => 'x'])->post($this)->assertOk();
        self::assertSame(['x'], $heard);

        $this->configure(['webhooks.events' => ['stock.low' => self::class]]);
        Trastienda::webhook('stock.low', ['sku' => 'x'])->post($this)->assertStatus(500);
    }

    public function test_the_door_is_found_in_whatever_group_it_is(): void
    {
        Route::prefix('api')->name('api.')->group(fn () => Route::trastiendaWebhooks('/hooks'));

        self::assertSame('/webhooks/trastienda', Door::path($this->app));
        Trastienda::webhook('webhook.test')->post($this, '/api/hooks')->assertOk();
    }

    public function test_a_queued_webhook_is_answered_at_once_and_handled_by_the_worker_once(): void
    {
        $this->queue();
        $heard = [];
        Event::listen(OrderPaid::class, function (OrderPaid $event) use (&$heard): void {
            $heard[] = $event->orderId();
        });
        $webhook = Trastienda::webhook('order.paid', ['order_id' => 'A-1']);

        $webhook->post($this)->assertExactJson(['received' => true, 'duplicate' => false, 'queued' => true]);
        $webhook->post($this)->assertJson(['queued' => true]);
        self::assertSame([[], 2, 0], [$heard, DB::table('jobs')->where('queue', 'webhooks')->count(), DB::table('trastienda_webhooks')->count()]);

        Artisan::call('queue:work', ['--once' => true, '--queue' => 'webhooks']);
        Artisan::call('queue:work', ['--once' => true, '--queue' => 'webhooks']);

        self::assertSame([['A-1'], 0, 1], [$heard, DB::table('jobs')->count(), DB::table('trastienda_webhooks')->count()]);
        $webhook->post($this)->assertExactJson(['received' => true, 'duplicate' => true]);
    }

    public function test_a_queue_that_is_away_is_500_and_the_hub_tries_again(): void
    {
        $this->queue();
        Schema::drop('jobs');

        Trastienda::webhook('order.paid')->post($this)->assertStatus(500);
    }

    public function test_old_webhooks_are_forgotten_on_request(): void
    {
        DB::table('trastienda_webhooks')->insert([
            ['webhook_id' => 'old', 'type' => 'x', 'received_at' => now()->subDays(100)->format('Y-m-d H:i:s')],
            ['webhook_id' => 'new', 'type' => 'x', 'received_at' => now()->subDays(10)->format('Y-m-d H:i:s')],
        ]);

        self::assertSame(0, Artisan::call('trastienda:webhooks', ['do' => 'prune']));
        self::assertSame(['new'], DB::table('trastienda_webhooks')->pluck('webhook_id')->all());
    }

    private function queue(): void
    {
        $this->app['config']->set('queue', ['default' => 'database', 'connections' => ['database' => ['driver' => 'database', 'table' => 'jobs', 'queue' => 'default', 'retry_after' => 90]], 'failed' => ['driver' => 'null']]);
        $this->configure(['webhooks.queue' => 'webhooks']);
        Schema::create('jobs', function (Blueprint $table): void {
            $table->bigIncrements('id');
            $table->string('queue')->index();
            $table->longText('payload');
            $table->unsignedTinyInteger('attempts');
            $table->unsignedInteger('reserved_at')->nullable();
            $table->unsignedInteger('available_at');
            $table->unsignedInteger('created_at');
        });
    }
}

final class StockLow extends WebhookEvent
{
    public function sku(): ?string
    {
        return $this->text('sku');
    }
}
