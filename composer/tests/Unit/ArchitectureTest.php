<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Unit;

use PhpToken;
use PHPUnit\Framework\TestCase;

/**
 * The package's habits, held by a machine.
 */
final class ArchitectureTest extends TestCase
{
    private const ROOT = __DIR__.'/../..';

    public function test_every_file_declares_strict_types(): void
    {
        foreach (self::files('src', 'exceptions', 'config', 'database', 'tests') as $file) {
            self::assertStringContainsString("\ndeclare(strict_types=1);\n", (string) file_get_contents($file), $file);
        }
    }

    public function test_every_class_is_final_or_meant_to_be_extended(): void
    {
        foreach (self::files('src', 'exceptions') as $file) {
            $text = (string) file_get_contents($file);

            if (basename($file) !== 'TrastiendaException.php' && preg_match('/^(readonly )?class /m', $text) === 1) {
                self::fail("$file has a class that is not final.");
            }

            self::assertMatchesRegularExpression('/^(final class|abstract class|class TrastiendaException|interface|trait|enum) /m', $text, $file);
        }
    }

    public function test_the_environment_is_read_in_config_and_nothing_is_dumped(): void
    {
        $banned = ['env', 'getenv', 'putenv', 'dd', 'dump', 'var_dump', 'print_r', 'die', 'exit', 'sleep', 'usleep'];

        foreach (self::files('src', 'exceptions', 'database') as $file) {
            if (basename($file) === 'Patience.php') {
                // The one place that waits, for commands.
                continue;
            }

            $tokens = array_values(array_filter(PhpToken::tokenize((string) file_get_contents($file)), fn (PhpToken $token): bool => ! $token->isIgnorable()));

            foreach ($tokens as $at => $token) {
                $called = ($tokens[$at + 1] ?? null)?->text === '(' && ! in_array($tokens[$at - 1]->text ?? '', ['->', '?->', '::', 'function'], true);
                self::assertFalse($called && in_array(strtolower($token->text), $banned, true), "$file:$token->line calls $token->text().");
            }
        }
    }

    public function test_every_class_and_interface_says_what_it_is_for(): void
    {
        foreach (self::files('src', 'exceptions') as $file) {
            self::assertMatchesRegularExpression('#\*/\n(final class|abstract class|class|interface|trait|enum) #', (string) file_get_contents($file), $file);
        }
    }

    public function test_files_stay_small(): void
    {
        foreach (self::files('src', 'exceptions') as $file) {
            self::assertLessThanOrEqual(320, count(file($file) ?: []), $file);
        }
    }

    public function test_every_setting_is_explained(): void
    {
        $lines = file(self::ROOT.'/config/trastienda.php', FILE_IGNORE_NEW_LINES) ?: [];

        foreach ($lines as $at => $line) {
            if (preg_match("/^ {4}'(?!webhooks)\w+' =>/", $line) === 1) {
                self::assertMatchesRegularExpression('#^ {4}//#', $lines[$at - 1], $line);
                self::assertMatchesRegularExpression('#^ {4}//#', $lines[$at - 3], $line);
            }
        }
    }

    /**
     * @return list<string>
     */
    private static function files(string ...$directories): array
    {
        $files = [];

        foreach ($directories as $directory) {
            foreach (new \RecursiveIteratorIterator(new \RecursiveDirectoryIterator(self::ROOT."/$directory", \FilesystemIterator::SKIP_DOTS)) as $file) {
                if ($file->getExtension() === 'php') {
                    $files[] = $file->getPathname();
                }
            }
        }

        self::assertNotSame([], $files);

        return $files;
    }
}
