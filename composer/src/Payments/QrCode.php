<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Payments;

use InvalidArgumentException;

/**
 * A QR code (ISO/IEC 18004: byte mode, error correction M) drawn as SVG, so that a Pix can be
 * scanned off a page that loads nothing from anybody.
 */
final class QrCode
{
    /** Error-correction codewords per block, by version. */
    private const ECC = [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26, 26, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28];

    /** Blocks, by version. */
    private const BLOCKS = [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16, 17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49];

    private readonly int $version;

    /** @var positive-int */
    private readonly int $size;

    /** @var array<int, array<int, bool>> the picture, by row */
    private array $dark;

    /** @var array<int, array<int, bool>> what is not data */
    private array $fixed;

    private function __construct(string $text)
    {
        $this->version = self::versionFor(strlen($text));
        $this->size = max(21, $this->version * 4 + 17);
        $this->dark = $this->fixed = array_fill(0, $this->size, array_fill(0, $this->size, false));

        $this->drawPatterns();
        $this->drawData($this->codewords($text));
        $this->mask();
    }

    /**
     * @return list<list<bool>> dark or not, by row
     */
    public static function modules(string $text): array
    {
        return array_map('array_values', array_values((new self($text))->dark));
    }

    public static function svg(string $text, string $title = ''): string
    {
        $rows = self::modules($text);
        $edge = count($rows) + 8;
        $path = '';

        foreach ($rows as $y => $row) {
            foreach ($row as $x => $dark) {
                $path .= $dark ? 'M'.($x + 4).' '.($y + 4).'h1v1h-1z' : '';
            }
        }

        return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 $edge $edge\" role=\"img\" shape-rendering=\"crispEdges\"><title>".htmlspecialchars($title, ENT_QUOTES)."</title><rect width=\"$edge\" height=\"$edge\" fill=\"#fff\"/><path d=\"$path\" fill=\"#000\"/></svg>";
    }

    private static function versionFor(int $bytes): int
    {
        for ($version = 1; $version <= 40; $version++) {
            $capacity = intdiv(self::rawModules($version), 8) - self::ECC[$version - 1] * self::BLOCKS[$version - 1];

            if (4 + ($version < 10 ? 8 : 16) + 8 * $bytes <= 8 * $capacity) {
                return $version;
            }
        }

        throw new InvalidArgumentException('A QR code holds at most 2331 bytes.');
    }

    private static function rawModules(int $version): int
    {
        $result = (16 * $version + 128) * $version + 64;

        if ($version >= 2) {
            $align = intdiv($version, 7) + 2;
            $result -= (25 * $align - 10) * $align - 55;
        }

        return $version >= 7 ? $result - 36 : $result;
    }

    /**
     * Data and error correction, interleaved as they are drawn.
     *
     * @return list<int>
     */
    private function codewords(string $text): array
    {
        $raw = intdiv(self::rawModules($this->version), 8);
        [$eccLength, $blocks] = [self::ECC[$this->version - 1], self::BLOCKS[$this->version - 1]];
        $capacity = $raw - $eccLength * $blocks;
        $bits = '0100'.sprintf($this->version < 10 ? '%08b' : '%016b', strlen($text));

        foreach (str_split($text) as $byte) {
            $bits .= sprintf('%08b', ord($byte));
        }

        $bits .= str_repeat('0', min(4, $capacity * 8 - strlen($bits)));
        $bits .= str_repeat('0', (8 - strlen($bits) % 8) % 8);
        $data = array_map(fn (string $byte): int => (int) bindec($byte), str_split($bits, 8));

        for ($pad = 0xEC; count($data) < $capacity; $pad ^= 0xEC ^ 0x11) {
            $data[] = $pad;
        }

        $short = $blocks - $raw % $blocks;
        $length = intdiv($raw, $blocks) - $eccLength;
        $columns = [];
        $at = 0;

        for ($block = 0; $block < $blocks; $block++) {
            $part = array_slice($data, $at, $length + ($block < $short ? 0 : 1));
            $at += count($part);

            foreach ($part as $index => $byte) {
                $columns[$index][] = $byte;
            }

            foreach (ReedSolomon::remainder($part, $eccLength) as $index => $byte) {
                // After all data, whichever block is the longer.
                $columns[$length + 1 + $index][] = $byte;
            }
        }

        ksort($columns);

        return array_merge(...array_values($columns));
    }

    private function drawPatterns(): void
    {
        for ($i = 0; $i < $this->size; $i++) {
            $this->set(6, $i, $i % 2 === 0);
            $this->set($i, 6, $i % 2 === 0);
        }

        foreach ([[3, 3], [$this->size - 4, 3], [3, $this->size - 4]] as [$x, $y]) {
            $this->square($x, $y, 4, [2, 4]);
        }

        $places = $this->alignments();
        $last = count($places) - 1;

        foreach ($places as $i => $x) {
            foreach ($places as $j => $y) {
                if (! ($i === 0 && $j === 0 || $i === 0 && $j === $last || $i === $last && $j === 0)) {
                    $this->square($x, $y, 2, [1]);
                }
            }
        }

        $this->drawFormat(0);
        $this->drawVersion();
    }

    /**
     * @param  list<int>  $light  distances from the middle that are light
     */
    private function square(int $x, int $y, int $reach, array $light): void
    {
        for ($dy = -$reach; $dy <= $reach; $dy++) {
            for ($dx = -$reach; $dx <= $reach; $dx++) {
                if ($x + $dx >= 0 && $x + $dx < $this->size && $y + $dy >= 0 && $y + $dy < $this->size) {
                    $this->set($x + $dx, $y + $dy, ! in_array(max(abs($dx), abs($dy)), $light, true));
                }
            }
        }
    }

    /**
     * @return list<int>
     */
    private function alignments(): array
    {
        if ($this->version === 1) {
            return [];
        }

        $count = intdiv($this->version, 7) + 2;
        $step = $this->version === 32 ? 26 : intdiv($this->version * 4 + $count * 2 + 1, $count * 2 - 2) * 2;
        $places = [6];

        for ($i = $count - 2; $i >= 0; $i--) {
            $places[] = $this->size - 7 - $i * $step;
        }

        return $places;
    }

    private function drawFormat(int $mask): void
    {
        // Error correction M is 00, so the mask is all there is.
        $rest = $mask;

        for ($i = 0; $i < 10; $i++) {
            $rest = ($rest << 1) ^ (($rest >> 9) * 0x537);
        }

        $bits = ($mask << 10 | $rest) ^ 0x5412;
        $bit = fn (int $i): bool => ($bits >> $i & 1) === 1;

        for ($i = 0; $i < 15; $i++) {
            $this->set(8, $i < 6 ? $i : ($i < 8 ? $i + 1 : $this->size - 15 + $i), $bit($i));
            $this->set($i < 8 ? $this->size - 1 - $i : ($i === 8 ? 7 : 14 - $i), 8, $bit($i));
        }

        $this->set(8, $this->size - 8, true);
    }

    private function drawVersion(): void
    {
        if ($this->version < 7) {
            return;
        }

        $rest = $this->version;

        for ($i = 0; $i < 12; $i++) {
            $rest = ($rest << 1) ^ (($rest >> 11) * 0x1F25);
        }

        for ($i = 0; $i < 18; $i++) {
            $dark = (($this->version << 12 | $rest) >> $i & 1) === 1;
            [$a, $b] = [$this->size - 11 + $i % 3, intdiv($i, 3)];
            $this->set($a, $b, $dark);
            $this->set($b, $a, $dark);
        }
    }

    /**
     * @param  list<int>  $codewords
     */
    private function drawData(array $codewords): void
    {
        $bit = 0;

        for ($right = $this->size - 1; $right >= 1; $right -= 2) {
            $right = $right === 6 ? 5 : $right;

            for ($step = 0; $step < $this->size; $step++) {
                foreach ([$right, $right - 1] as $x) {
                    $y = (($right + 1) & 2) === 0 ? $this->size - 1 - $step : $step;

                    if (! $this->fixed[$y][$x] && $bit < count($codewords) * 8) {
                        $this->dark[$y][$x] = ($codewords[$bit >> 3] >> (7 - ($bit & 7)) & 1) === 1;
                        $bit++;
                    }
                }
            }
        }
    }

    /**
     * The standard asks for the mask that scanners like best; any is valid, and one that
     * leaves neither large areas nor many equal neighbours is good enough.
     */
    private function mask(): void
    {
        $plain = $this->dark;
        $best = null;
        $least = PHP_INT_MAX;

        for ($mask = 0; $mask < 8; $mask++) {
            $this->dark = $plain;
            $this->drawFormat($mask);

            for ($y = 0; $y < $this->size; $y++) {
                for ($x = 0; $x < $this->size; $x++) {
                    $this->dark[$y][$x] = $this->dark[$y][$x] !== (! $this->fixed[$y][$x] && self::inverts($mask, $x, $y));
                }
            }

            if (($penalty = QrPenalty::of($this->dark)) < $least) {
                [$least, $best] = [$penalty, $this->dark];
            }
        }

        $this->dark = $best ?? $plain;
    }

    private static function inverts(int $mask, int $x, int $y): bool
    {
        return match ($mask) {
            0 => ($x + $y) % 2,
            1 => $y % 2,
            2 => $x % 3,
            3 => ($x + $y) % 3,
            4 => (intdiv($x, 3) + intdiv($y, 2)) % 2,
            5 => $x * $y % 2 + $x * $y % 3,
            6 => ($x * $y % 2 + $x * $y % 3) % 2,
            default => (($x + $y) % 2 + $x * $y % 3) % 2,
        } === 0;
    }

    private function set(int $x, int $y, bool $dark): void
    {
        $this->dark[$y][$x] = $dark;
        $this->fixed[$y][$x] = true;
    }
}
