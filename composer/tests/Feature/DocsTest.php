<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Contracts\Console\Kernel;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Testing\TrastiendaFake;
use Trastienda\Laravel\Tests\TestCase;

/**
 * What the pages name is there.
 */
final class DocsTest extends TestCase
{
    private const ROOT = __DIR__.'/../..';

    public function test_every_link_leads_somewhere(): void
    {
        if (! is_dir(self::ROOT.'/../hub')) {
            self::markTestSkipped('The pages link to the main repository, and this is the package alone.');
        }

        foreach (self::pages() as $page => $text) {
            preg_match_all('/\]\((?!https?:|#)([^)#]+)/', $text, $links);

            foreach ($links[1] as $link) {
                self::assertFileExists(dirname($page)."/$link", $page);
            }
        }
    }

    public function test_every_command_and_its_options_exist(): void
    {
        $commands = $this->app->make(Kernel::class)->all();

        foreach (self::pages() as $page => $text) {
            preg_match_all('/trastienda:(\w+)((?: +--[a-z-]+(?:=\S*)?| +[\w.<>{}|-]+)*)/', $text, $found, PREG_SET_ORDER);

            foreach ($found as [$line, $name, $rest]) {
                self::assertArrayHasKey("trastienda:$name", $commands, "$page: $line");
                preg_match_all('/--([a-z-]+)/', $rest, $options);

                foreach (array_diff($options[1], ['no-interaction']) as $option) {
                    self::assertTrue($commands["trastienda:$name"]->getDefinition()->hasOption($option), "$page: $line");
                }
            }
        }
    }

    public function test_every_assertion_and_class_exists(): void
    {
        foreach (self::pages() as $page => $text) {
            preg_match_all('/\b(assert(?:Event|Payment|Not|Nothing|Refunded)\w*|preventStray)\b/', $text, $names);

            foreach ($names[1] as $name) {
                self::assertTrue(method_exists(Trastienda::class, $name) && method_exists(TrastiendaFake::class, $name), "$page: $name");
            }

            preg_match_all('/\bTrastienda\\\\[A-Z][\w\\\\]+\w/', $text, $classes);

            foreach (array_diff($classes[0], ['Trastienda\Exception']) as $class) {
                self::assertTrue(class_exists($class) || interface_exists($class) || trait_exists($class), "$page: $class");
            }
        }
    }

    public function test_every_page_is_there_in_spanish_too(): void
    {
        foreach (['commands', 'events', 'features', 'local', 'mail', 'notifications', 'payments', 'testing', 'transports', 'webhooks'] as $page) {
            self::assertFileExists(self::ROOT."/docs/$page.md");
            self::assertFileExists(self::ROOT."/docs/es/$page.md");
        }
    }

    /**
     * @return array<string, string>
     */
    private static function pages(): array
    {
        $pages = [];

        foreach ([...(glob(self::ROOT.'/*.md') ?: []), ...(glob(self::ROOT.'/docs/*.md') ?: []), ...(glob(self::ROOT.'/docs/es/*.md') ?: [])] as $page) {
            $pages[$page] = (string) file_get_contents($page);
        }

        self::assertGreaterThan(10, count($pages));

        return $pages;
    }
}
