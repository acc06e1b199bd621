<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Laravel\Pennant\Contracts\Driver;
use Laravel\Pennant\FeatureManager;
use LogicException;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Tests\TestCase;

require_once __DIR__.'/../Support/pennant.php';

final class PennantTest extends TestCase
{
    public function test_the_hubs_flags_are_a_store_of_pennant(): void
    {
        $agent = $this->agent(
            ['status' => 200, 'body' => ['flag' => 'wishlist', 'enabled' => true]],
            ['status' => 200, 'body' => ['flag' => 'coupons', 'enabled' => false]],
            ['status' => 404, 'body' => ['code' => 'feature_unknown']],
        );
        $store = $this->store();
        $store->define('coupons', fn (): bool => true);
        $store->define('beta', fn (mixed $scope): string => "for $scope");

        self::assertTrue($store->get('wishlist', null));
        self::assertFalse($store->get('coupons', 'ana'), 'The hub knows better than the default.');
        self::assertSame('for ana', $store->get('beta', 'ana'));
        self::assertSame(['wishlist' => [true, true], 'beta' => ['for eva']], $store->getAll(['wishlist' => [null, 'ana'], 'beta' => ['eva']]));
        self::assertSame(['coupons', 'beta'], $store->defined());
        self::assertCount(3, $agent->requests(), 'Each flag is asked for once.');
    }

    public function test_a_hub_that_is_away_leaves_the_shops_own_default(): void
    {
        $store = $this->store();
        $store->define('beta', fn (): bool => true);

        self::assertTrue($store->get('beta', null));
        self::assertFalse($store->get('undefined', null));
    }

    public function test_purging_asks_anew(): void
    {
        $this->agent(
            ['status' => 200, 'body' => ['flag' => 'wishlist', 'enabled' => true]],
            ['status' => 200, 'body' => ['flag' => 'wishlist', 'enabled' => false]],
        );
        $store = $this->store();

        self::assertTrue($store->get('wishlist', null));
        $store->purge(['wishlist']);
        self::assertFalse($store->get('wishlist', null));
    }

    public function test_flags_are_set_at_the_hub(): void
    {
        $this->expectException(LogicException::class);
        $this->store()->set('wishlist', null, true);
    }

    public function test_a_faked_flag_is_a_flag_for_pennant_too(): void
    {
        Trastienda::fake()->withFeature('wishlist');

        self::assertTrue($this->store()->get('wishlist', null));
    }

    private function store(): Driver
    {
        return $this->app->make(FeatureManager::class)->store('trastienda');
    }
}
