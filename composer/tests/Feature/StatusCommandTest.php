<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Support\Facades\Artisan;
use Trastienda\Laravel\Tests\TestCase;

final class StatusCommandTest extends TestCase
{
    public function test_it_shows_the_agent_the_hub_and_no_more_of_the_key_than_its_end(): void
    {
        $this->agent(['status' => 200, 'body' => ['hub' => 'up', 'buffered' => 3]]);
        $this->hub(['status' => 200, 'body' => ['name' => 'Librería Sur']]);

        self::assertSame(0, Artisan::call('trastienda:status'));

        $output = Artisan::output();
        self::assertStringContainsString('en espera: 3', $output);
        self::assertStringContainsString('Librería Sur', $output);
        self::assertStringContainsString('…WXYZ', $output);
        self::assertStringNotContainsString('secretsecret', $output);
    }

    public function test_it_fails_when_nothing_answers(): void
    {
        self::assertSame(1, Artisan::call('trastienda:status'));
        self::assertStringContainsString('Ni el agente ni el hub responden', Artisan::output());
    }

    public function test_a_hub_that_refuses_the_key_is_of_no_use(): void
    {
        $this->hub(['status' => 401, 'body' => ['code' => 'unauthorized', 'title' => 'Unauthorized']]);

        self::assertSame(1, Artisan::call('trastienda:status'));
        self::assertStringContainsString('rechaza la clave', Artisan::output());
    }

    public function test_the_report_as_json(): void
    {
        $this->agent(['status' => 200, 'body' => ['hub' => 'down', 'buffered' => 0]]);

        self::assertSame(0, Artisan::call('trastienda:status', ['--json' => true]));

        $report = json_decode(Artisan::output(), true, 512, JSON_THROW_ON_ERROR);
        self::assertTrue($report['reachable']);
        self::assertSame('down', $report['agent']['hub']);
        self::assertFalse($report['hub']['configured']);
    }
}
