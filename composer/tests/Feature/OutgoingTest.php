<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Console\Scheduling\Schedule;
use Illuminate\Support\Facades\Artisan;
use Illuminate\Support\Facades\DB;
use RuntimeException;
use Trastienda\Exception\AgentUnavailable;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Tests\TestCase;

final class OutgoingTest extends TestCase
{
    private const ACCEPTED = ['status' => 202, 'body' => ['id' => '{id}']];

    protected function setUp(): void
    {
        parent::setUp();

        self::assertSame(0, Artisan::call('migrate'));
    }

    public function test_what_is_said_in_a_transaction_leaves_after_the_commit(): void
    {
        $agent = $this->agent(self::ACCEPTED);

        $id = DB::transaction(function () use ($agent): string {
            $id = Trastienda::event('order.created', ['order_id' => 'A-1']);
            self::assertSame([], $agent->requests());

            return $id;
        });

        self::assertSame($id, json_decode($agent->onlyRequest()['body'], true)['id']);
    }

    public function test_what_is_rolled_back_was_never_said(): void
    {
        $agent = $this->agent(self::ACCEPTED);

        try {
            DB::transaction(function (): void {
                Trastienda::event('order.created', ['order_id' => 'A-1']);
                Trastienda::notify(['channel' => 'email', 'to' => 'ana@example.com', 'subject' => 'Hola', 'text' => 'Hola']);

                throw new RuntimeException('no stock');
            });
        } catch (RuntimeException) {
        }

        self::assertSame([], $agent->requests());
    }

    public function test_a_savepoint_that_is_rolled_back_takes_only_its_own_along(): void
    {
        $agent = $this->agent(self::ACCEPTED);

        DB::transaction(function (): void {
            Trastienda::event('order.created', ['order_id' => 'outer']);

            try {
                DB::transaction(function (): void {
                    Trastienda::event('order.created', ['order_id' => 'inner']);

                    throw new RuntimeException();
                });
            } catch (RuntimeException) {
            }
        });

        self::assertSame('outer', json_decode($agent->onlyRequest()['body'], true)['data']['order_id']);
    }

    public function test_after_the_commit_a_failure_is_reported_and_not_thrown(): void
    {
        $reported = $this->reported();

        DB::transaction(fn (): string => Trastienda::event('order.created', ['order_id' => 'A-1']));

        self::assertCount(1, $reported);
        self::assertInstanceOf(AgentUnavailable::class, $reported[0]);
    }

    public function test_a_single_call_may_leave_at_once(): void
    {
        $agent = $this->agent(self::ACCEPTED);

        DB::transaction(function () use ($agent): void {
            Trastienda::event('order.created', ['order_id' => 'A-1'], ['after_commit' => false]);
            self::assertCount(1, $agent->requests());
        });
    }

    public function test_the_outbox_commits_with_the_order_and_is_emptied_at_once(): void
    {
        $agent = $this->agent(self::ACCEPTED);
        $this->configure(['outbox' => ['enabled' => true]]);

        DB::transaction(function () use ($agent): void {
            Trastienda::event('order.created', ['order_id' => 'A-1']);
            self::assertSame(1, DB::table('trastienda_outbox')->count());
            self::assertSame([], $agent->requests());
        });

        self::assertCount(1, $agent->requests());
        self::assertSame(0, DB::table('trastienda_outbox')->count());
    }

    public function test_the_outbox_goes_with_a_rolled_back_order(): void
    {
        $agent = $this->agent(self::ACCEPTED);
        $this->configure(['outbox' => ['enabled' => true]]);

        try {
            DB::transaction(function (): void {
                Trastienda::event('order.created', ['order_id' => 'A-1']);

                throw new RuntimeException();
            });
        } catch (RuntimeException) {
        }

        self::assertSame([0, []], [DB::table('trastienda_outbox')->count(), $agent->requests()]);
    }

    public function test_what_nobody_took_waits_and_the_scheduler_sends_it_with_the_same_id_and_in_order(): void
    {
        $this->reported();
        $this->configure(['outbox' => ['enabled' => true]]);

        $ids = array_map(fn (int $n): string => Trastienda::event('stock.counted', ['n' => $n]), [1, 2, 3]);
        self::assertSame(3, DB::table('trastienda_outbox')->count());

        $agent = $this->agent(self::ACCEPTED);
        $this->travel(10)->minutes();
        self::assertSame(0, Artisan::call('trastienda:outbox', ['--json' => true]));

        self::assertSame(['sent' => 3, 'failed' => 0, 'waiting' => 0], json_decode(Artisan::output(), true));
        self::assertSame($ids, array_map(fn (array $request): string => json_decode($request['body'], true)['id'], $agent->requests()));
    }

    public function test_what_is_refused_for_good_stays_to_be_looked_at_and_stops_nobody(): void
    {
        $this->agent(['status' => 422, 'body' => ['code' => 'validation_failed', 'detail' => 'That is no type.']], self::ACCEPTED);
        $this->configure(['outbox' => ['enabled' => true, 'at_once' => false]]);
        Trastienda::event('order.created', ['order_id' => 'A-1']);
        Trastienda::event('order.created', ['order_id' => 'A-2']);

        Artisan::call('trastienda:outbox', ['--json' => true]);
        self::assertSame(['sent' => 1, 'failed' => 1, 'waiting' => 0], json_decode(Artisan::output(), true));

        Artisan::call('trastienda:outbox', ['--list' => true]);
        self::assertStringContainsString('That is no type.', Artisan::output());

        Artisan::call('trastienda:outbox', ['--retry' => true, '--json' => true]);
        self::assertSame(['sent' => 1, 'failed' => 0, 'waiting' => 0], json_decode(Artisan::output(), true));
    }

    public function test_the_scheduler_knows_of_the_outbox_only_where_there_is_one(): void
    {
        $commands = fn (): array => array_map(fn ($event): string => (string) $event->command, $this->app->make(Schedule::class)->events());

        self::assertStringNotContainsString('trastienda', implode($commands()));

        $this->app->forgetInstance(Schedule::class);
        $this->configure(['outbox' => ['enabled' => true]]);
        self::assertStringContainsString('trastienda:outbox', implode($commands()));
    }

    public function test_a_number_of_an_order_is_text_to_the_contract(): void
    {
        $agent = $this->agent(self::ACCEPTED);

        Trastienda::event('order.created', ['order_id' => 42]);
        Trastienda::notify(['channel' => 'email', 'to' => 'ana@example.com', 'subject' => 'Hola', 'text' => 'Hola', 'order_id' => 42]);

        self::assertSame('42', json_decode($agent->requests()[0]['body'], true)['data']['order_id']);
        self::assertSame('42', json_decode($agent->requests()[1]['body'], true)['order_id']);
    }

    public function test_a_template_about_an_order_is_one_mail_until_somebody_says_otherwise(): void
    {
        $agent = $this->agent(self::ACCEPTED);
        $mail = ['channel' => 'email', 'to' => 'ana@example.com', 'template' => 'order_confirmation', 'order_id' => 'A-1', 'data' => ['total' => '1.00']];

        Trastienda::notify($mail);
        Trastienda::notify($mail);
        Trastienda::notify($mail, ['attempt' => 2]);
        Trastienda::notify(['data' => ['total' => '2.00']] + $mail);

        [$first, $same, $again, $other] = array_map(fn (array $request): string => $request['headers']['idempotency-key'], $agent->requests());
        self::assertSame($first, $same);
        self::assertNotSame($first, $again);
        self::assertNotSame($first, $other);
        self::assertStringStartsWith('order-A-1-email-order_confirmation-', $first);
        self::assertStringNotContainsString('ana', $first);
    }

    public function test_log_only_tells_the_log_and_nobody_else(): void
    {
        $agent = $this->agent(self::ACCEPTED);
        $this->configure(['transport' => 'log']);

        self::assertStringStartsWith('evt_', Trastienda::event('order.created', ['order_id' => 'A-1']));
        self::assertSame('logged', Trastienda::notify(['channel' => 'email', 'to' => 'ana@example.com', 'subject' => 'Hola', 'text' => 'Hola'])['status']);
        self::assertSame([], $agent->requests());
    }
}
