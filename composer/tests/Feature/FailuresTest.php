<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use PHPUnit\Framework\Attributes\DataProvider;
use Trastienda\Exception\AgentUnavailable;
use Trastienda\Exception\BufferFull;
use Trastienda\Exception\HubUnavailable;
use Trastienda\Exception\InvalidRequest;
use Trastienda\Exception\OutcomeUnknown;
use Trastienda\Exception\RateLimited;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Exception\Unauthorized;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Tests\TestCase;

final class FailuresTest extends TestCase
{
    /**
     * @return array<string, array{int, class-string<TrastiendaException>}>
     */
    public static function statuses(): array
    {
        return [
            'bad request' => [400, InvalidRequest::class],
            'unauthorized' => [401, Unauthorized::class],
            'project inactive' => [403, Unauthorized::class],
            'not found' => [404, InvalidRequest::class],
            'conflict' => [409, InvalidRequest::class],
            'too large' => [413, InvalidRequest::class],
            'invalid' => [422, InvalidRequest::class],
            'rate limited' => [429, RateLimited::class],
            'internal' => [500, HubUnavailable::class],
            'hub unreachable' => [503, HubUnavailable::class],
            'buffer full' => [507, BufferFull::class],
        ];
    }

    /**
     * @dataProvider statuses
     *
     * @param  class-string<TrastiendaException>  $class
     */
    #[DataProvider('statuses')]
    public function test_each_status_has_its_exception(int $status, string $class): void
    {
        $this->agent(['status' => $status, 'body' => ['title' => 'Nope', 'detail' => 'because', 'code' => 'some_code', 'request_id' => 'req-7']]);

        try {
            Trastienda::event('order.created', ['order_id' => 'A-1']);
            self::fail('No exception.');
        } catch (TrastiendaException $exception) {
            self::assertSame($class, $exception::class);
            self::assertSame($status, $exception->getCode());
            self::assertSame(['because', 'some_code', 'req-7'], [$exception->getMessage(), $exception->problemCode(), $exception->requestId()]);
        }
    }

    public function test_validation_brings_every_error_at_once(): void
    {
        $errors = [['pointer' => '/data/to', 'message' => 'no es una dirección'], ['pointer' => '/template', 'message' => 'no existe']];
        $this->agent(['status' => 422, 'body' => ['title' => 'Invalid', 'code' => 'invalid', 'errors' => $errors]]);

        try {
            Trastienda::notify(['channel' => 'email', 'to' => 'nope']);
            self::fail('No exception.');
        } catch (InvalidRequest $exception) {
            self::assertSame($errors, $exception->errors());
        }
    }

    public function test_a_limit_says_how_long_to_wait(): void
    {
        $this->agent(['status' => 429, 'body' => ['code' => 'rate_limited'], 'headers' => ['Retry-After' => '42']]);

        try {
            Trastienda::event('order.created', ['order_id' => 'A-1']);
            self::fail('No exception.');
        } catch (RateLimited $exception) {
            self::assertSame(42, $exception->retryAfter());
        }
    }

    public function test_no_agent_and_no_hub_is_agent_unavailable_and_quick(): void
    {
        $start = hrtime(true);

        try {
            Trastienda::event('order.created', ['order_id' => 'A-1']);
            self::fail('No exception.');
        } catch (AgentUnavailable) {
            self::assertLessThan(1_000_000_000, hrtime(true) - $start);
        }
    }

    public function test_an_answer_that_is_not_json_is_still_a_typed_failure(): void
    {
        $this->agent(['status' => 502, 'body' => 'bad gateway']);

        $this->expectException(HubUnavailable::class);
        Trastienda::request('GET', '/v1/project');
    }

    public function test_a_change_that_left_is_never_sent_another_way_without_an_id(): void
    {
        $this->agent(['hang' => true]);
        $hub = $this->hub();
        $this->configure(['timeouts' => ['sync' => 100]]);

        try {
            Trastienda::request('POST', '/v1/webhook-endpoints', ['url' => 'https://shop.example/hook', 'events' => ['order.*']]);
            self::fail('No exception.');
        } catch (OutcomeUnknown $exception) {
            self::assertSame('', $exception->id());
            self::assertSame([], $hub->requests());
        }
    }

    public function test_a_change_without_an_id_or_a_key_is_not_repeated_on_a_lost_connection(): void
    {
        $agent = $this->agent(['drop' => true]);

        try {
            Trastienda::request('POST', '/v1/webhook-endpoints', ['url' => 'https://shop.example/hook', 'events' => ['order.*']]);
            self::fail('No exception.');
        } catch (OutcomeUnknown) {
            self::assertCount(1, $agent->requests());
        }
    }

    public function test_text_that_is_not_utf8_is_the_callers_mistake(): void
    {
        $this->agent();

        $this->expectException(InvalidRequest::class);
        Trastienda::event('order.created', ['order_id' => "\xB1\x31"]);
    }
}
