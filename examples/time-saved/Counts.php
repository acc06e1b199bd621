<?php

declare(strict_types=1);

namespace Trastienda\Examples\TimeSaved;

use FilesystemIterator;
use PhpToken;
use RecursiveDirectoryIterator;
use RecursiveIteratorIterator;

/**
 * Counts what each shop's integration takes, from the shops themselves.
 *
 * A file that is there only for the integration counts whole; of any other file, every statement
 * that names a part of it. Comments and blank lines never count. Nothing else of a shop would
 * change if its integration went away.
 */
final class Counts
{
    private const SHOPS = [
        'shop-a' => ['whole' => '#/(BackRoom|RecordWebhook)\.php$#', 'names' => '/trastienda|WebhookReceived|OutcomeUnknown|BackRoom|RecordWebhook/i', 'env' => '/^TRASTIENDA_/'],
        'shop-b' => ['whole' => '#/(BackRoom|RecordWebhook)\.php$#', 'names' => '/trastienda|WebhookReceived|OutcomeUnknown|BackRoom|RecordWebhook/i', 'env' => '/^TRASTIENDA_/'],
        'shop-alone' => ['whole' => '#/Integration/|/config/(integration|mail|queue)\.php$|/views/mail/|create_integration_tables#', 'names' => '/Integration|BackRoom|Checkout|MercadoPagoNotice|ReceiveWebhook|ReconcilePayments|Schedule/', 'env' => '/^(MERCADOPAGO|MAIL|WEBHOOK)_/'],
    ];

    /**
     * @return array<string, array{files: int, lines: int, settings: int, secrets: int, processes: int, tables: int}>
     */
    public static function all(): array
    {
        return array_map(self::of(...), array_combine(array_keys(self::SHOPS), array_keys(self::SHOPS)));
    }

    /**
     * @return array{files: int, lines: int, settings: int, secrets: int, processes: int, tables: int}
     */
    private static function of(string $name): array
    {
        $shop = dirname(__DIR__)."/$name";
        $rule = self::SHOPS[$name];
        $files = $lines = $tables = 0;

        foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator($shop, FilesystemIterator::SKIP_DOTS)) as $file) {
            $path = substr($file->getPathname(), strlen($shop));

            if ($file->getExtension() !== 'php' || str_starts_with($path, '/storage/')) {
                continue;
            }

            $whole = preg_match($rule['whole'], $path) === 1;
            $text = (string) file_get_contents($file->getPathname());
            $found = match (true) {
                $whole && str_ends_with($path, '.blade.php') => count(array_filter(explode("\n", $text), fn (string $line): bool => trim($line) !== '')),
                str_ends_with($path, '.blade.php') => 0,
                default => self::lines($text, $whole ? null : $rule['names']),
            };
            $files += (int) ($found > 0);
            $lines += $found;
            $tables += $whole ? substr_count($text, 'Schema::create(') : 0;
        }

        $env = preg_grep($rule['env'], file("$shop/.env.example", FILE_IGNORE_NEW_LINES) ?: []) ?: [];

        return [
            'files' => $files,
            'lines' => $lines,
            'settings' => count($env),
            'secrets' => count(preg_grep('/(KEY|TOKEN|SECRET|PASSWORD|ENDPOINTS)=/', $env) ?: []),
            // Besides the one that serves the shop.
            'processes' => count(file("$shop/Procfile") ?: []) - 1,
            'tables' => $tables + ($name === 'shop-alone' ? 0 : substr_count((string) shell_exec('cat '.escapeshellarg(dirname(__DIR__, 2).'/composer/database/migrations').'/*.php'), '->create(')),
        ];
    }

    private static function lines(string $text, ?string $names): int
    {
        $counted = $statement = [];
        $named = $names === null;
        $inText = 0;

        foreach (PhpToken::tokenize($text) as $token) {
            if ($token->isIgnorable() || $token->is(T_OPEN_TAG)) {
                continue;
            }

            foreach (range($token->line, $token->line + substr_count(rtrim($token->text), "\n")) as $line) {
                $statement[$line] = true;
            }

            $named = $named || preg_match((string) $names, $token->text) === 1;

            // Braces inside a text ("{$order->id}") end nothing.
            if ($token->is([T_CURLY_OPEN, T_DOLLAR_OPEN_CURLY_BRACES])) {
                $inText++;
            } elseif ($inText > 0 && $token->text === '}') {
                $inText--;
            } elseif (in_array($token->text, [';', '{', '}'], true)) {
                $counted += $named ? $statement : [];
                $statement = [];
                $named = $names === null;
            }
        }

        return count($counted);
    }
}
