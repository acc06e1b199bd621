<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Unit;

use PHPUnit\Framework\TestCase;
use Trastienda\Laravel\IdempotencyKey;
use Trastienda\Laravel\Ids;
use Trastienda\Laravel\Timeouts;

final class IdsTest extends TestCase
{
    public function test_ids_are_uuid_v7_of_this_moment(): void
    {
        $before = (int) (microtime(true) * 1000);
        $id = Ids::payment();
        $after = (int) (microtime(true) * 1000) + 1;

        self::assertMatchesRegularExpression('/^pay_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/', $id);
        $millis = hexdec(substr($id, 4, 12));
        self::assertGreaterThanOrEqual($before, $millis);
        self::assertLessThanOrEqual($after, $millis);
    }

    public function test_ids_are_never_the_same_twice(): void
    {
        $ids = array_map(fn (): string => Ids::event(), range(1, 5000));

        self::assertCount(5000, array_unique($ids));
    }

    public function test_keys_are_derived_and_fit_the_contract(): void
    {
        self::assertSame(IdempotencyKey::forPayment('A-1', 1), IdempotencyKey::forPayment('A-1', 1));
        self::assertNotSame(IdempotencyKey::forPayment('A-1', 1), IdempotencyKey::forPayment('A-1', 2));
        self::assertMatchesRegularExpression('/^[\x21-\x7E]{1,255}$/', IdempotencyKey::forPayment('pedido número ñ', 1));
        self::assertMatchesRegularExpression('/^[\x21-\x7E]{1,255}$/', IdempotencyKey::forPayment(str_repeat('x', 300), 1));
    }

    public function test_the_wait_is_always_shorter_than_the_timeout(): void
    {
        self::assertSame(
            [0, 0, 1, 2, 3, 3, 10, 25],
            array_map(fn (int $ms): int => Timeouts::waitWithin($ms), [500, 1900, 2000, 5000, 6000, 7000, 15000, 60000]),
        );
    }
}
