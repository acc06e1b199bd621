<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Tests\TestCase;

final class FeaturesTest extends TestCase
{
    public function test_a_flag_is_asked_once_and_then_remembered(): void
    {
        $agent = $this->agent(['status' => 200, 'body' => ['flag' => 'wishlist', 'enabled' => true]]);

        self::assertTrue(Trastienda::feature('wishlist'));
        self::assertTrue(Trastienda::feature('wishlist'));
        self::assertSame('/v1/features/wishlist', $agent->onlyRequest()['path']);
    }

    public function test_off_beats_a_default_of_on(): void
    {
        $this->agent(['status' => 200, 'body' => ['flag' => 'wishlist', 'enabled' => false]]);

        self::assertFalse(Trastienda::feature('wishlist', true));
    }

    public function test_when_the_hub_goes_away_the_last_answer_stands_and_is_not_asked_for_ten_times(): void
    {
        $agent = $this->agent(
            ['status' => 200, 'body' => ['flag' => 'wishlist', 'enabled' => true]],
            ['status' => 503, 'body' => ['code' => 'hub_unreachable']],
        );
        self::assertTrue(Trastienda::feature('wishlist'));
        $this->travel(31)->seconds();

        foreach (range(1, 10) as $_) {
            self::assertTrue(Trastienda::feature('wishlist'));
        }

        self::assertCount(2, $agent->requests());
    }

    public function test_an_unknown_flag_and_an_absent_agent_answer_the_default(): void
    {
        self::assertTrue(Trastienda::feature('wishlist', true));

        $this->agent(['status' => 404, 'body' => ['code' => 'feature_unknown']]);
        self::assertTrue(Trastienda::feature('wishlist', true));
        self::assertFalse(Trastienda::feature('wishlist', false));
    }
}
