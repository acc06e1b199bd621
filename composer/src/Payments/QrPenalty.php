<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Payments;

/**
 * How hard a QR code is to scan: the standard's four penalties.
 */
final class QrPenalty
{
    /**
     * @param  array<int, array<int, bool>>  $dark
     */
    public static function of(array $dark): int
    {
        $rows = array_map(fn (array $row): string => implode('', array_map(fn (bool $cell): string => $cell ? '1' : '0', $row)), $dark);
        $columns = [];

        foreach (array_keys($rows) as $x) {
            $columns[] = implode('', array_map(fn (string $row): string => $row[$x], $rows));
        }

        $share = substr_count(implode('', $rows), '1') * 100 / count($rows) ** 2;

        return self::lines($rows) + self::lines($columns) + self::blocks($rows) + 10 * (int) floor(abs($share - 50) / 5);
    }

    /**
     * Long runs, and what looks like a finder pattern.
     *
     * @param  array<int, string>  $lines
     */
    private static function lines(array $lines): int
    {
        $penalty = 0;

        foreach ($lines as $line) {
            preg_match_all('/0{5,}|1{5,}/', $line, $runs);
            $penalty += array_sum(array_map(fn (string $run): int => strlen($run) - 2, $runs[0]));
            $penalty += 40 * (int) preg_match_all('/(?=00001011101|10111010000)/', "0000{$line}0000", $patterns);
        }

        return $penalty;
    }

    /**
     * @param  array<int, string>  $rows
     */
    private static function blocks(array $rows): int
    {
        $count = 0;

        for ($y = 1, $size = count($rows); $y < $size; $y++) {
            for ($x = 1; $x < $size; $x++) {
                $count += (int) ($rows[$y][$x] === $rows[$y][$x - 1] && $rows[$y][$x] === $rows[$y - 1][$x] && $rows[$y][$x] === $rows[$y - 1][$x - 1]);
            }
        }

        return 3 * $count;
    }
}
