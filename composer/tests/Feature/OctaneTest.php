<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Container\Container;
use Illuminate\Contracts\Http\Kernel;
use Illuminate\Foundation\Application;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Artisan;
use Illuminate\Support\Facades\Event;
use Illuminate\Support\Facades\Facade;
use Illuminate\Support\Facades\Route;
use ReflectionClass;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Tests\TestCase;
use Trastienda\Laravel\Webhooks\SignedWebhook;
use Trastienda\Laravel\Webhooks\WebhookReceived;

/**
 * Many requests in one process, as Octane serves them: the application is started once, and each
 * request gets a copy of it that is thrown away.
 */
final class OctaneTest extends TestCase
{
    public function test_a_thousand_requests_leave_nothing_behind(): void
    {
        Artisan::call('migrate');
        $this->configure(['transport' => 'null', 'webhooks.secret' => 'whsec_c2VjcmV0']);
        Route::trastiendaWebhooks();
        Route::get('/sell/{order}', fn (string $order): string => Trastienda::event('order.created', ['order_id' => $order]));
        $received = 0;
        Event::listen(WebhookReceived::class, function () use (&$received): void {
            $received++;
        });

        $ids = [];
        $memory = 0;

        for ($i = 0; $i < 1000; $i++) {
            $ids[] = $this->serve(Request::create("/sell/A-$i"));
            self::assertSame('{"received":true,"duplicate":false}', $this->serve(SignedWebhook::make('order.paid', ['order_id' => "A-$i"])->toRequest()));

            if ($i === 200) {
                gc_collect_cycles();
                $memory = memory_get_usage();
            }
        }

        gc_collect_cycles();
        self::assertCount(1000, array_unique($ids));
        self::assertSame(1000, $received);
        // Eight hundred more may not cost what one response takes.
        self::assertLessThan(200_000, memory_get_usage() - $memory);
    }

    public function test_settings_of_one_request_are_not_those_of_the_next(): void
    {
        $agent = $this->agent();
        Route::get('/sell', function (): string {
            config(['trastienda.transport' => request('transport')]);

            return Trastienda::event('order.created', ['order_id' => 'A-1']);
        });

        $this->serve(Request::create('/sell?transport=null'));
        $this->serve(Request::create('/sell?transport=socket'));
        $this->serve(Request::create('/sell?transport=null'));

        self::assertCount(1, $agent->requests());
    }

    public function test_one_connection_serves_a_process_whose_services_are_warm(): void
    {
        // Octane resolves what it is told to warm before the first copy is made.
        $this->configure(['transport' => 'null']);
        $warm = $this->app->make(\Trastienda\Laravel\Trastienda::class);
        Route::get('/same', fn (): string => (string) spl_object_id(app(\Trastienda\Laravel\Trastienda::class)));

        self::assertSame((string) spl_object_id($warm), $this->serve(Request::create('/same')));
        self::assertSame((string) spl_object_id($warm), $this->serve(Request::create('/same')));
    }

    public function test_the_package_keeps_nothing_in_static_places(): void
    {
        foreach (new \RecursiveIteratorIterator(new \RecursiveDirectoryIterator(__DIR__.'/../../src', \FilesystemIterator::SKIP_DOTS)) as $file) {
            $text = (string) file_get_contents($file->getPathname());
            self::assertDoesNotMatchRegularExpression('/^\s*(public|protected|private)\s+static\s+(?!function)[^(]*[;=]/m', $text, $file->getPathname());
            self::assertDoesNotMatchRegularExpression('/^\s+static \$/m', $text, $file->getPathname());
        }

        // Macros are Laravel's own, and set while it starts.
        self::assertSame(['macros'], array_keys((new ReflectionClass(\Trastienda\Laravel\Trastienda::class))->getStaticProperties()));
    }

    private function serve(Request $request): string
    {
        $base = $this->app;
        $copy = clone $base;
        $this->become($copy);
        $copy->instance('config', clone $base['config']);
        $copy['router']->setContainer($copy);

        $kernel = $copy->make(Kernel::class);
        (fn () => $this->app = $copy)->call($kernel);
        $response = $kernel->handle($request);
        $kernel->terminate($request, $response);
        $copy->flush();

        (fn () => $this->app = $base)->call($kernel);
        $base['router']->setContainer($base);
        $this->become($base);

        return (string) $response->getContent();
    }

    private function become(Application $app): void
    {
        $app->instance('app', $app);
        $app->instance(Container::class, $app);
        Container::setInstance($app);
        Facade::clearResolvedInstances();
        Facade::setFacadeApplication($app);
    }
}
