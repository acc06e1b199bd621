<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Unit;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Trastienda\Laravel\Payments\QrCode;

/**
 * Codes that an independent reader (zbar) was seen to read; what it read is what was written.
 */
final class QrCodeTest extends TestCase
{
    public function test_a_code_that_was_read_back_is_drawn_again_dot_by_dot(): void
    {
        foreach (self::READ as [$text, $size, $digest]) {
            $rows = array_map(fn (array $row): string => implode('', array_map('intval', $row)), QrCode::modules($text));

            self::assertCount($size, $rows, $text);
            self::assertSame($digest, hash('crc32b', implode("\n", $rows)), $text);
        }
    }

    public function test_its_corners_are_finder_patterns(): void
    {
        foreach (['x', str_repeat('pix', 50)] as $text) {
            $rows = array_map(fn (array $row): string => implode('', array_map('intval', $row)), QrCode::modules($text));

            self::assertSame(['1111111', '1000001', '1011101', '1011101', '1011101', '1000001', '1111111'], array_map(fn (string $row): string => substr($row, 0, 7), array_slice($rows, 0, 7)));
            self::assertSame('1111111', substr($rows[0], -7));
            self::assertSame('1111111', substr($rows[count($rows) - 1], 0, 7));
        }
    }

    public function test_what_is_too_long_is_refused(): void
    {
        self::assertCount(177, QrCode::modules(str_repeat('x', 2331)));
        $this->expectException(InvalidArgumentException::class);
        QrCode::modules(str_repeat('x', 2332));
    }

    public function test_a_title_cannot_break_out(): void
    {
        self::assertStringContainsString('<title>&lt;b&gt;</title>', QrCode::svg('x', '<b>'));
    }

    private const READ = [
        ['HOLA', 21, '40309105'],
        ['00020126580014br.gov.bcb.pix0136a629532e-7693-4846-852d-1bbff817b5a8520400005303986540510.005802BR5904Loja6008Curitiba62070503***6304ABCD', 49, '30aa3619'],
        ['https://trastienda.example/https://trastienda.example/https://trastienda.example/https://trastienda.example/https://trastienda.example/https://trastienda.example/https://trastienda.example/https://trastienda.example/https://trastienda.example/https://trastienda.example/https://trastienda.example/https://trastienda.example/', 69, '154ca43c'],
    ];
}
