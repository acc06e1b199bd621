<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Support\Facades\Artisan;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Schema;
use RuntimeException;
use Trastienda\Exception\AgentUnavailable;
use Trastienda\Exception\HubUnavailable;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Tests\TestCase;

/**
 * Laravel's own database queue and its own worker.
 */
final class QueueTest extends TestCase
{
    private const ACCEPTED = ['status' => 202, 'body' => ['id' => '{id}']];

    protected function setUp(): void
    {
        parent::setUp();

        $this->app['config']->set('queue', ['default' => 'database', 'connections' => ['database' => ['driver' => 'database', 'table' => 'jobs', 'queue' => 'default', 'retry_after' => 90]], 'failed' => ['driver' => 'null']]);
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

    public function test_when_nobody_takes_an_event_the_queue_does_and_sends_it_later_with_the_same_id(): void
    {
        $this->configure(['fallback' => 'queue']);

        $id = Trastienda::event('order.created', ['order_id' => 'A-1']);

        self::assertSame(1, DB::table('jobs')->count());
        self::assertStringNotContainsString('A-1', (string) DB::table('jobs')->value('payload'));

        $this->work();
        self::assertSame(1, DB::table('jobs')->count(), 'Still nobody there: it waits.');

        $agent = $this->agent(self::ACCEPTED);
        $this->configure(['fallback' => 'queue']);
        $this->travel(1)->hours();
        $this->work();

        self::assertSame($id, json_decode($agent->onlyRequest()['body'], true)['id']);
        self::assertSame(0, DB::table('jobs')->count());
    }

    public function test_a_worker_goes_round_the_agent(): void
    {
        $this->configure(['fallback' => 'queue']);
        $id = Trastienda::event('order.created', ['order_id' => 'A-1']);
        $hub = $this->hub(self::ACCEPTED);

        $this->work();

        self::assertSame($id, json_decode($hub->onlyRequest()['body'], true)['id']);
    }

    public function test_a_payment_is_never_queued(): void
    {
        $this->configure(['fallback' => 'queue']);

        try {
            Trastienda::payments()->create(['order_id' => 'A-1', 'amount' => '1.00', 'currency' => 'ARS', 'description' => 'x', 'method' => 'checkout', 'payer' => []]);
            self::fail('No exception.');
        } catch (AgentUnavailable) {
            self::assertSame(0, DB::table('jobs')->count());
        }
    }

    public function test_without_a_queue_the_first_failure_is_what_the_caller_hears(): void
    {
        Schema::drop('jobs');
        $this->configure(['fallback' => 'queue']);

        $this->expectException(AgentUnavailable::class);
        Trastienda::event('order.created', ['order_id' => 'A-1']);
    }

    public function test_a_hub_that_is_away_is_queued_for_too(): void
    {
        $this->hub(['status' => 503, 'body' => ['code' => 'unavailable']]);
        $this->configure(['transport' => 'http', 'fallback' => 'queue']);

        Trastienda::event('order.created', ['order_id' => 'A-1']);
        self::assertSame(1, DB::table('jobs')->count());

        $this->configure(['fallback' => 'throw']);
        $this->expectException(HubUnavailable::class);
        Trastienda::event('order.created', ['order_id' => 'A-1']);
    }

    public function test_a_job_that_is_tried_again_says_the_same_and_not_more(): void
    {
        $agent = $this->agent(self::ACCEPTED);
        SellingJob::$failures = 1;
        dispatch(new SellingJob());

        $this->work();
        $this->travel(1)->hours();
        $this->work();

        $keys = array_map(fn (array $request): string => $request['headers']['idempotency-key'], $agent->requests());
        self::assertCount(6, $keys);
        // Two equal calls of one attempt are two things; each is the same thing in the next attempt.
        self::assertSame(array_slice($keys, 0, 3), array_slice($keys, 3));
        self::assertCount(3, array_unique($keys));

        Trastienda::event('stock.low', ['sku' => 'x']);
        self::assertArrayNotHasKey('idempotency-key', $agent->requests()[6]['headers']);
    }

    private function work(): void
    {
        Artisan::call('queue:work', ['--once' => true]);
    }
}

final class SellingJob implements ShouldQueue
{
    use InteractsWithQueue;
    use Queueable;

    public static int $failures = 0;

    public int $tries = 5;

    public function handle(): void
    {
        Trastienda::event('stock.low', ['sku' => 'x']);
        Trastienda::event('stock.low', ['sku' => 'x']);
        Trastienda::notify(['channel' => 'email', 'to' => 'ana@example.com', 'subject' => 'Hola', 'text' => 'Hola']);

        if (self::$failures-- > 0) {
            throw new RuntimeException('later');
        }
    }
}
