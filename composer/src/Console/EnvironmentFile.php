<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Console;

use RuntimeException;

/**
 * The shop's `.env`, changed line by line, so that everything else in it stays as it was.
 */
final class EnvironmentFile
{
    public function __construct(private readonly string $path)
    {
    }

    /**
     * @param  array<string, string>  $values
     */
    public function set(array $values): void
    {
        $text = is_file($this->path) ? (string) file_get_contents($this->path) : '';

        foreach ($values as $name => $value) {
            $line = "$name=".self::quoted($value);
            $pattern = '/^'.preg_quote($name, '/').'=.*$/m';
            $text = preg_match($pattern, $text) === 1
                // By a function: a value may hold what a replacement would take for a group.
                ? (string) preg_replace_callback($pattern, fn (): string => $line, $text, 1)
                : rtrim($text, "\n").($text === '' ? '' : "\n")."$line\n";
        }

        // Written in place: the file keeps its owner and its rights, and may be a link.
        if (file_put_contents($this->path, $text, LOCK_EX) === false) {
            throw new RuntimeException("Cannot write $this->path.");
        }
    }

    private static function quoted(string $value): string
    {
        if (preg_match('/[\r\n]/', $value) === 1) {
            throw new RuntimeException('A value of .env is one line.');
        }

        return preg_match('#^[A-Za-z0-9_:/.,@+=~-]*$#', $value) === 1 ? $value : '"'.addcslashes($value, '"\\$').'"';
    }
}
