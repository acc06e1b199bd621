<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests;

use ArrayObject;
use Illuminate\Contracts\Console\Kernel as ConsoleKernel;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Contracts\Http\Kernel as HttpKernel;
use Illuminate\Foundation\Application;
use Illuminate\Foundation\PackageManifest;
use Illuminate\Foundation\Testing\TestCase as FoundationTestCase;
use Throwable;
use Trastienda\Laravel\Instances;
use Trastienda\Laravel\Tests\Support\StubServer;
use Trastienda\Laravel\Tests\Support\Workspace;
use Trastienda\Laravel\Trastienda;

/**
 * A real Laravel application, in which the package was discovered and nothing is mocked.
 *
 * `configure()` sets the package's settings and forgets what was built from older ones;
 * `serve()` starts a real server that answers from a script and remembers what it was told.
 */
abstract class TestCase extends FoundationTestCase
{
    /** @var list<StubServer> */
    private array $servers = [];

    public function createApplication(): Application
    {
        $workspace = Workspace::make();

        $app = new Application(__DIR__.'/skeleton');
        $app->useStoragePath($workspace->storage);
        $app->singleton(HttpKernel::class, \Illuminate\Foundation\Http\Kernel::class);
        $app->singleton(ConsoleKernel::class, \Illuminate\Foundation\Console\Kernel::class);
        $app->singleton(ExceptionHandler::class, \Illuminate\Foundation\Exceptions\Handler::class);
        $app->make(PackageManifest::class)->vendorPath = $workspace->vendor;
        $app->make(ConsoleKernel::class)->bootstrap();

        return $app;
    }

    protected function setUp(): void
    {
        parent::setUp();

        // Nothing from this host: no socket, no address, no key unless the test gives one.
        $this->configure(['socket' => Workspace::make()->path('absent.sock'), 'transport' => 'socket']);
    }

    protected function tearDown(): void
    {
        foreach ($this->servers as $server) {
            $server->stop();
        }

        parent::tearDown();
    }

    /**
     * @param  array<string, mixed>  $settings
     */
    protected function configure(array $settings): void
    {
        foreach ($settings as $name => $value) {
            $this->app['config']->set("trastienda.$name", $value);
        }

        Instances::forget($this->app);
    }

    /**
     * What is reported to Laravel's exception handler from here on.
     *
     * @return ArrayObject<int, Throwable>
     */
    protected function reported(): ArrayObject
    {
        $reported = new ArrayObject();
        $this->app->make(ExceptionHandler::class)->reportable(function (Throwable $exception) use ($reported): bool {
            $reported->append($exception);

            return false;
        });

        return $reported;
    }

    protected function trastienda(): Trastienda
    {
        return $this->app->make(Trastienda::class);
    }

    /**
     * An agent on a socket of its own, to which the package now speaks.
     *
     * @param  array<string, mixed>  ...$answers
     */
    protected function agent(array ...$answers): StubServer
    {
        $socket = Workspace::make()->path('agent-'.bin2hex(random_bytes(4)).'.sock');
        $server = $this->servers[] = StubServer::start("unix://$socket", $answers);
        $this->configure(['socket' => $socket, 'transport' => 'socket']);

        return $server;
    }

    /**
     * A hub on a port of its own. The transport is left as it is.
     *
     * @param  array<string, mixed>  ...$answers
     */
    protected function hub(array ...$answers): StubServer
    {
        $server = $this->servers[] = StubServer::start('tcp://127.0.0.1:0', $answers);
        $this->configure(['url' => $server->url(), 'key' => 'tk_test_abcdefghijkl_secretsecretWXYZ']);

        return $server;
    }
}
