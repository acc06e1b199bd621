<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Contracts\Console\Kernel;
use Illuminate\Support\Facades\Artisan;
use Illuminate\Support\Facades\Schema;
use Symfony\Component\Console\Tester\CommandTester;
use Trastienda\Laravel\ApiKey;
use Trastienda\Laravel\Tests\Support\StubServer;
use Trastienda\Laravel\Tests\Support\Workspace;
use Trastienda\Laravel\Tests\TestCase;
use Trastienda\Laravel\Webhooks\Door;

final class InstallCommandTest extends TestCase
{
    /** Made by the hub's own code: only its form and checksum matter here. */
    private const KEY = 'tk_test_0123456789Ab_0123456789012345678901234567890123456789012';

    private string $shop;

    private string $key;

    protected function setUp(): void
    {
        parent::setUp();

        $this->shop = Workspace::make()->path('install-'.bin2hex(random_bytes(4)));
        mkdir("$this->shop/routes", 0700, true);
        file_put_contents("$this->shop/.env", "APP_NAME=\"Mi tienda\"\nTRASTIENDA_URL=old\n# a comment\n");
        file_put_contents("$this->shop/routes/web.php", "<?php\n\nuse Illuminate\\Support\\Facades\\Route;\n");
        $this->app->setBasePath($this->shop);
        $this->app->useEnvironmentPath($this->shop);
        $this->app['config']->set('app.url', 'https://mates.example.com');
        $this->key = self::KEY.$this->checksum(self::KEY);
    }

    public function test_one_command_connects_a_shop(): void
    {
        $hub = $this->stub(['status' => 200, 'body' => ['data' => []]], ['status' => 201, 'body' => ['id' => 'whe_1', 'secret' => 'whsec_c2VjcmV0']]);

        self::assertSame(0, $this->install($hub), Artisan::output());

        self::assertSame("APP_NAME=\"Mi tienda\"\nTRASTIENDA_URL={$hub->url()}\n# a comment\nTRASTIENDA_API_KEY=$this->key\nTRASTIENDA_WEBHOOK_SECRET=whsec_c2VjcmV0\n", file_get_contents("$this->shop/.env"));
        self::assertStringContainsString('Route::trastiendaWebhooks();', (string) file_get_contents("$this->shop/routes/web.php"));
        self::assertTrue(Schema::hasTable('trastienda_webhooks') && Schema::hasTable('trastienda_outbox'));
        self::assertSame('/webhooks/trastienda', Door::path($this->app));

        $created = $hub->requests()[1];
        self::assertSame(['POST', '/v1/webhook-endpoints', $this->key], [$created['method'], $created['path'], $created['headers']['x-api-key']]);
        self::assertSame(['url' => 'https://mates.example.com/webhooks/trastienda', 'events' => ['order.*', 'payment.*', 'notification.*']], array_intersect_key(json_decode($created['body'], true), ['url' => 1, 'events' => 1]));
        self::assertStringNotContainsString($this->key, Artisan::output());
    }

    public function test_running_it_again_repeats_nothing(): void
    {
        $endpoint = ['id' => 'whe_1', 'url' => 'https://mates.example.com/webhooks/trastienda', 'enabled' => true];
        $hub = $this->stub(
            ['status' => 200, 'body' => ['data' => []]], ['status' => 201, 'body' => ['id' => 'whe_1', 'secret' => 'whsec_c2VjcmV0']],
            ['status' => 200, 'body' => ['data' => [$endpoint]]],
        );

        $this->install($hub);
        $env = file_get_contents("$this->shop/.env");
        self::assertSame(0, $this->install($hub));

        self::assertSame($env, file_get_contents("$this->shop/.env"));
        self::assertSame(1, substr_count((string) file_get_contents("$this->shop/routes/web.php"), 'trastiendaWebhooks'));
        self::assertSame(['GET', 'POST', 'GET'], array_column($hub->requests(), 'method'));
    }

    public function test_a_secret_is_renewed_and_the_old_one_stays_good_meanwhile(): void
    {
        $endpoint = ['id' => 'whe_1', 'url' => 'https://mates.example.com/webhooks/trastienda', 'enabled' => true];
        $hub = $this->stub(['status' => 200, 'body' => ['data' => [$endpoint]]], ['status' => 200, 'body' => ['secret' => 'whsec_bmV3']]);
        $this->configure(['webhooks.secret' => 'whsec_b2xk']);

        self::assertSame(0, $this->install($hub, ['--rotate' => true]));

        self::assertStringContainsString('TRASTIENDA_WEBHOOK_SECRET=whsec_bmV3,whsec_b2xk', (string) file_get_contents("$this->shop/.env"));
        self::assertSame('/v1/webhook-endpoints/whe_1/rotate-secret', $hub->requests()[1]['path']);
    }

    public function test_a_mistyped_key_is_told_before_anything_is_written(): void
    {
        $env = file_get_contents("$this->shop/.env");

        self::assertSame(1, Artisan::call('trastienda:install', ['--key' => substr($this->key, 0, -1).'?', '--no-interaction' => true]));
        self::assertStringContainsString('tk_live_', Artisan::output());
        self::assertSame(1, Artisan::call('trastienda:install', ['--key' => strrev(substr($this->key, -2)) === substr($this->key, -2) ? 'x' : substr($this->key, 0, -2).strrev(substr($this->key, -2)), '--no-interaction' => true]));
        self::assertSame($env, file_get_contents("$this->shop/.env"));
    }

    public function test_an_address_that_the_hub_refuses_is_said_with_what_to_do(): void
    {
        $hub = $this->stub(
            ['status' => 200, 'body' => ['data' => []]],
            ['status' => 422, 'body' => ['code' => 'validation_failed', 'detail' => 'Not valid.', 'errors' => [['pointer' => '/url', 'message' => 'must be public']]]],
        );

        self::assertSame(1, $this->install($hub));
        self::assertStringContainsString('/url: must be public', Artisan::output());
        self::assertStringContainsString("TRASTIENDA_API_KEY=$this->key", (string) file_get_contents("$this->shop/.env"));
    }

    /**
     * @dataProvider privateAddresses
     */
    public function test_where_the_hub_has_no_way_in_the_agent_pulls(string $address): void
    {
        $this->app['config']->set('app.url', $address);
        $hub = $this->stub(['status' => 200, 'body' => ['data' => []]], ['status' => 201, 'body' => ['id' => 'whe_1', 'secret' => 'whsec_c2VjcmV0']]);

        self::assertSame(0, $this->install($hub), $output = Artisan::output());
        self::assertSame('agent:///webhooks/trastienda', json_decode($hub->requests()[1]['body'], true)['url']);
        $output = Artisan::output() ?: $output;
        self::assertStringContainsString("TRASTIENDA_AGENT_APP_URL=$address", $output);
        self::assertStringContainsString('trastienda:webhooks listen', $output);
        self::assertStringContainsString('TRASTIENDA_WEBHOOK_SECRET=whsec_c2VjcmV0', (string) file_get_contents("$this->shop/.env"));
    }

    /**
     * @return array<string, array{string}>
     */
    public static function privateAddresses(): array
    {
        return array_combine(
            $all = ['http://localhost', 'http://localhost:8000', 'http://127.0.0.1:8000', 'http://[::1]:8000', 'https://mates.test', 'http://mates.local', 'http://10.0.0.7', 'http://192.168.1.20', 'http://tienda', 'https://caja.lan'],
            array_map(fn (string $address): array => [$address], $all),
        );
    }

    public function test_an_address_that_was_asked_for_is_taken_as_it_is(): void
    {
        $this->app['config']->set('app.url', 'http://localhost');
        $hub = $this->stub(['status' => 200, 'body' => ['data' => []]], ['status' => 201, 'body' => ['id' => 'whe_1', 'secret' => 'whsec_c2VjcmV0']]);

        self::assertSame(0, $this->install($hub, ['--webhook-url' => 'https://tunel.example.com/webhooks/trastienda']));
        self::assertSame('https://tunel.example.com/webhooks/trastienda', json_decode($hub->requests()[1]['body'], true)['url']);
    }

    public function test_a_database_that_is_not_there_keeps_nothing_else_from_being_set_up(): void
    {
        $this->app['config']->set('database.connections.sqlite.database', '/nowhere/at/all.sqlite');
        $this->app['db']->purge();
        $hub = $this->stub(['status' => 200, 'body' => ['data' => []]], ['status' => 201, 'body' => ['id' => 'whe_1', 'secret' => 'whsec_c2VjcmV0']]);

        self::assertSame(0, $this->install($hub));
        self::assertStringContainsString('php artisan migrate', Artisan::output());
        self::assertStringContainsString('TRASTIENDA_WEBHOOK_SECRET', (string) file_get_contents("$this->shop/.env"));
    }

    public function test_it_asks_for_what_it_does_not_know(): void
    {
        $hub = $this->stub(['status' => 200, 'body' => ['data' => []]], ['status' => 201, 'body' => ['id' => 'whe_1', 'secret' => 'whsec_c2VjcmV0']]);

        $command = new CommandTester($this->app->make(Kernel::class)->all()['trastienda:install']);
        $command->setInputs([$this->key, $hub->url(), '']);
        self::assertSame(0, $command->execute([], ['interactive' => true]), $command->getDisplay());

        self::assertStringContainsString("TRASTIENDA_API_KEY=$this->key", (string) file_get_contents("$this->shop/.env"));
    }

    public function test_a_key_knows_its_own_form(): void
    {
        self::assertNull(ApiKey::problem($this->key));
        self::assertNotNull(ApiKey::problem(substr($this->key, 0, -1).(str_ends_with($this->key, '0') ? '1' : '0')));
        self::assertNotNull(ApiKey::problem('sk_live_x'));
    }

    /**
     * @param  array<string, mixed>  $options
     */
    private function install(StubServer $hub, array $options = []): int
    {
        return Artisan::call('trastienda:install', $options + ['--key' => $this->key, '--url' => $hub->url(), '--no-interaction' => true]);
    }

    /**
     * @param  array<string, mixed>  ...$answers
     */
    private function stub(array ...$answers): StubServer
    {
        $hub = $this->hub(...$answers);
        $this->configure(['url' => null, 'key' => null, 'socket' => null, 'transport' => 'http']);

        return $hub;
    }

    private function checksum(string $text): string
    {
        $digits = array_merge(range('0', '9'), range('A', 'Z'), range('a', 'z'));
        $result = '';

        for ($number = hexdec(hash('crc32b', $text)), $i = 0; $i < 6; $i++, $number = intdiv((int) $number, 62)) {
            $result = $digits[$number % 62].$result;
        }

        return $result;
    }
}
