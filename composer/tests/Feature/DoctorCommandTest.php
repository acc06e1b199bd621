<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Foundation\Console\AboutCommand;
use Illuminate\Support\Facades\Artisan;
use Illuminate\Support\Facades\Route;
use Trastienda\Laravel\Integrations;
use Trastienda\Laravel\Tests\TestCase;

final class DoctorCommandTest extends TestCase
{
    public function test_with_nothing_there_each_problem_comes_with_what_to_do(): void
    {
        self::assertSame(1, Artisan::call('trastienda:doctor', ['--json' => true]));
        $report = json_decode(Artisan::output(), true, 512, JSON_THROW_ON_ERROR);

        self::assertFalse($report['healthy']);
        $states = array_column($report['findings'], 'state', 'what');
        self::assertSame(['error', 'error', 'error', 'warning', 'warning', 'error'], array_map(fn (string $what): string => $states[$what], ['Clave', 'Agente', 'Hub', 'Secreto de webhooks', 'Ruta de webhooks', 'Tabla de webhooks']));

        foreach ($report['findings'] as $finding) {
            self::assertSame($finding['state'] === 'ok', $finding['fix'] === null, $finding['what']);
        }
    }

    public function test_a_healthy_shop_is_told_so_after_a_real_delivery(): void
    {
        Artisan::call('migrate');
        Route::trastiendaWebhooks();
        $this->app['config']->set('app.url', 'https://mates.example.com');
        $endpoint = ['id' => 'whe_1', 'url' => 'https://mates.example.com/webhooks/trastienda', 'enabled' => true];
        $agent = $this->agent(
            ['status' => 200, 'body' => ['hub' => 'up', 'buffered' => 2, 'oldest_seconds' => 1, 'dead_letters' => 0]],
            ['status' => 200, 'body' => ['data' => [['id' => 'whe_0', 'url' => 'https://other.example.com/x'], $endpoint]]],
            ['status' => 202, 'body' => ['event' => 'evt_1', 'delivery' => 'whd_1']],
            ['status' => 200, 'body' => ['id' => 'whd_1', 'status' => 'pending', 'attempt_count' => 0]],
            ['status' => 200, 'body' => ['id' => 'whd_1', 'status' => 'sent', 'attempt_count' => 1, 'last_response_code' => 200]],
        );
        $this->configure(['key' => $this->validKey(), 'webhooks.secret' => 'whsec_c2VjcmV0']);

        $code = Artisan::call('trastienda:doctor');
        $output = Artisan::output();
        self::assertSame(0, $code, $output);
        self::assertStringContainsString('contestó 200 a una entrega de prueba', $output);
        self::assertStringContainsString('2 en espera', $output);
        self::assertStringContainsString('termina en …', $output);
        self::assertStringNotContainsString($this->validKey(), $output);
        self::assertSame('/v1/webhook-endpoints/whe_1/test', $agent->requests()[2]['path']);
    }

    public function test_a_delivery_that_is_answered_with_401_names_the_secret(): void
    {
        Artisan::call('migrate');
        Route::trastiendaWebhooks();
        $this->agent(
            ['status' => 200, 'body' => ['hub' => 'up', 'buffered' => 0, 'oldest_seconds' => 0, 'dead_letters' => 3]],
            ['status' => 200, 'body' => ['data' => [['id' => 'whe_1', 'url' => 'http://localhost/webhooks/trastienda', 'enabled' => true]]]],
            ['status' => 202, 'body' => ['event' => 'evt_1', 'delivery' => 'whd_1']],
            ['status' => 200, 'body' => ['id' => 'whd_1', 'status' => 'pending', 'attempt_count' => 1, 'last_response_code' => 401]],
        );
        $this->configure(['webhooks.secret' => 'whsec_c2VjcmV0']);

        self::assertSame(1, Artisan::call('trastienda:doctor'));
        $output = Artisan::output();
        self::assertStringContainsString('trastienda:install --rotate', $output);
        self::assertStringContainsString('3 llamadas que el hub no quiso', $output);
    }

    public function test_a_clock_that_is_wrong_is_named(): void
    {
        $this->hub(
            ['status' => 200, 'body' => ['name' => 'Mate']],
            ['status' => 200, 'body' => [], 'headers' => ['Date' => gmdate('D, d M Y H:i:s \G\M\T', time() - 400)]],
        );
        $this->configure(['transport' => 'http']);

        Artisan::call('trastienda:doctor', ['--quick' => true]);
        self::assertMatchesRegularExpression('/Reloj: a (39|40|41)\d? s del hub: los webhooks se rechazan/', Artisan::output());
    }

    public function test_about_has_a_section_where_laravel_has_about(): void
    {
        $this->agent(['status' => 200, 'body' => ['hub' => 'up', 'buffered' => 3]]);
        $this->configure(['key' => $this->validKey()]);

        if (class_exists(AboutCommand::class)) {
            Artisan::call('about', ['--only' => 'trastienda', '--json' => true]);
            $section = array_values(json_decode(Artisan::output(), true, 512, JSON_THROW_ON_ERROR)['trastienda']);
        } else {
            require_once __DIR__.'/../Support/about.php';
            (new Integrations($this->app))->boot();
            $section = array_values(AboutCommand::section('Trastienda'));
        }

        self::assertSame(['yes', 'socket', 'up, 3 buffered', 'no address', '…'.substr($this->validKey(), -4)], [$section[0], $section[1], $section[3], $section[4], $section[5]]);
    }

    private function validKey(): string
    {
        $text = 'tk_test_0123456789Ab_0123456789012345678901234567890123456789012';
        $digits = array_merge(range('0', '9'), range('A', 'Z'), range('a', 'z'));
        $sum = '';

        for ($number = crc32($text), $i = 0; $i < 6; $i++, $number = intdiv($number, 62)) {
            $sum = $digits[$number % 62].$sum;
        }

        return $text.$sum;
    }
}
