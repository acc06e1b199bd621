<?php

declare(strict_types=1);

namespace Trastienda\Examples\Tests;

use PHPUnit\Framework\TestCase;
use Trastienda\Examples\TimeSaved\Counts;
use Trastienda\Examples\TimeSaved\Page;
use Trastienda\Examples\TimeSaved\Scenario;
use Trastienda\Laravel\Tests\Support\RealStack;

final class TimeSavedTest extends TestCase
{
    public function test_the_page_says_what_the_code_is(): void
    {
        self::assertStringContainsString(Page::table(), (string) file_get_contents(Page::FILE), 'Run examples/time-saved/run.');
    }

    public function test_an_integration_is_small_and_the_next_one_is_as_small(): void
    {
        $counts = Counts::all();

        self::assertSame($counts['shop-a'], $counts['shop-b']);

        foreach (['files', 'lines', 'settings', 'secrets', 'processes', 'tables'] as $what) {
            self::assertLessThan($counts['shop-alone'][$what], $counts['shop-a'][$what], $what);
        }
    }

    public function test_the_second_shop_joins_and_three_changes_need_no_commit(): void
    {
        if (($missing = RealStack::missing()) !== null) {
            self::markTestSkipped($missing);
        }

        $stack = RealStack::up();

        try {
            $scenario = new Scenario($stack);
            $scenario->run();
            self::assertSame(['A template', 'A payment rule', 'A webhook schedule'], array_keys($scenario->changes));
        } finally {
            $stack->stop();
        }
    }
}
