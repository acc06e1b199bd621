<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Contracts\Console\Kernel;
use Illuminate\Support\ServiceProvider;
use Trastienda\Laravel\Exceptions\InvalidConfig;
use Trastienda\Laravel\Facades\Trastienda as TrastiendaFacade;
use Trastienda\Laravel\Settings;
use Trastienda\Laravel\Tests\TestCase;
use Trastienda\Laravel\Trastienda;
use Trastienda\Laravel\TrastiendaServiceProvider;

final class ProviderTest extends TestCase
{
    public function test_laravel_discovers_the_provider_and_the_facade(): void
    {
        self::assertArrayHasKey(TrastiendaServiceProvider::class, $this->app->getLoadedProviders());
        self::assertSame(TrastiendaFacade::class, (new \ReflectionClass('Trastienda'))->getName());
        self::assertSame($this->app->make(Trastienda::class), TrastiendaFacade::getFacadeRoot());
    }

    public function test_every_setting_has_a_default_and_comes_from_the_environment_by_name(): void
    {
        $text = (string) file_get_contents(__DIR__.'/../../config/trastienda.php');
        preg_match_all("/env\('([A-Z_]+)'/", $text, $found);

        self::assertSame([
            'TRASTIENDA_ENABLED', 'TRASTIENDA_API_KEY', 'TRASTIENDA_URL', 'TRASTIENDA_SOCKET',
            'TRASTIENDA_TRANSPORT', 'TRASTIENDA_SIMULATOR_URL', 'TRASTIENDA_WEBHOOK_SECRET',
        ], $found[1]);
        self::assertTrue($this->app['config']->get('trastienda.enabled'));
        self::assertSame('http', $this->app['config']->get('trastienda.fallback'));
    }

    public function test_config_and_migrations_can_be_published(): void
    {
        self::assertCount(1, ServiceProvider::pathsToPublish(TrastiendaServiceProvider::class, 'trastienda-config'));
        self::assertCount(1, ServiceProvider::pathsToPublish(TrastiendaServiceProvider::class, 'trastienda-migrations'));
    }

    public function test_the_command_is_there(): void
    {
        self::assertArrayHasKey('trastienda:status', $this->app->make(Kernel::class)->all());
    }

    public function test_a_wrong_setting_breaks_the_call_and_not_the_page(): void
    {
        $this->configure(['transport' => 'pigeon']);

        self::assertTrue(TrastiendaFacade::feature('wishlist', true));
        self::assertStringContainsString('pigeon', (string) TrastiendaFacade::status()['transport_error']);

        $this->expectException(InvalidConfig::class);
        TrastiendaFacade::event('order.created', ['order_id' => '1']);
    }

    public function test_the_key_is_not_in_a_dump_of_the_settings(): void
    {
        $this->configure(['key' => 'tk_live_abcdefghijkl_averysecretsecret']);
        $settings = $this->app->make(Settings::class);

        self::assertStringNotContainsString('averysecret', print_r($settings, true));
        self::assertStringContainsString('…cret', print_r($settings, true));
    }
}
