--TEST--
Generated values look on the wire as json_encode writes them, or are refused where it refuses
--FILE--
<?php
require __DIR__ . '/agent.inc';
$seed = (int) (getenv('TRASTIENDA_SEED') ?: 20261124);
mt_srand($seed);
ini_set('trastienda.timeout_ms', '10000');

final class Money implements JsonSerializable
{
    public function __construct(private mixed $inner) {}
    public function jsonSerialize(): mixed { return $this->inner; }
}
final class Line { public function __construct(public mixed $value, protected $hidden = 1, private $own = 2) {} }
enum Size: int { case Small = 1; case Large = 9; }

function text(): string
{
    $kinds = [
        fn () => '', fn () => 'ñandú 🧉 €', fn () => "quote \" slash / \\ \n\t\r\x08\x0c", fn () => "\u{2028}\u{2029}\u{feff}\u{10ffff}",
        fn () => str_repeat(html_entity_decode('&#' . mt_rand(0xa1, 0xd7ff) . ';'), mt_rand(1, 40)), fn () => chr(mt_rand(0, 0x1f)) . "\x7f",
        fn () => (string) mt_rand(), fn () => '<a href="x">&\'</a>',
        // Once in a while no UTF-8 at all.
        fn () => mt_rand(0, 40) === 0 ? "caf\xe9" : 'café', fn () => mt_rand(0, 40) === 0 ? "\xed\xa0\x80" : "\u{d7ff}",
    ];
    return $kinds[array_rand($kinds)]();
}
function number(): int|float
{
    $kinds = [
        fn () => mt_rand(-1000, 1000), fn () => PHP_INT_MAX - mt_rand(0, 9), fn () => PHP_INT_MIN + mt_rand(0, 9),
        fn () => (float) mt_rand(-50, 50), fn () => mt_rand() / mt_getrandmax(), fn () => -0.0,
        // Any double, by its bits, but those that are no numbers.
        function () {
            do {
                $double = unpack('d', pack('VV', mt_rand(0, 0xffffffff), mt_rand(0, 0xffffffff)))[1];
            } while (!is_finite($double) && mt_rand(0, 9) > 0);
            return $double;
        },
        fn () => 10 ** mt_rand(-300, 300) * 1.0, fn () => 0.1 + 0.2, fn () => PHP_FLOAT_MIN, fn () => PHP_FLOAT_MAX,
    ];
    return $kinds[array_rand($kinds)]();
}
function value(int $depth): mixed
{
    switch (mt_rand(0, $depth > 0 ? 13 : 6)) {
        case 0: return null;
        case 1: return (bool) mt_rand(0, 1);
        case 2: case 3: return number();
        case 4: case 5: return text();
        case 6: return Size::cases()[mt_rand(0, 1)];
        case 7: return [];
        case 8: return new stdClass();
        case 9: return new Money(value($depth - 1));
        case 10: return new Line(value($depth - 1));
        case 11: return new DateTimeImmutable('@' . mt_rand());
        case 12: return array_map(fn () => value($depth - 1), range(1, mt_rand(1, 5)));
        default:
            $map = [];
            for ($n = mt_rand(1, 5); $n > 0; $n--) {
                $map[mt_rand(0, 3) === 0 ? mt_rand(-3, 3) : text()] = value($depth - 1);
            }
            return mt_rand(0, 1) === 0 ? $map : (object) $map;
    }
}

$agent = StubAgent::start([]);
$sent = $refused = 0;
for ($n = 0; $n < 3000; $n++) {
    // Every way that a php.ini may have it.
    ini_set('serialize_precision', (string) [-1, 17, 6][mt_rand(0, 2)]);
    $data = ['a' => value(4), 'b' => value(2)];
    $expected = json_encode($data, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION);
    try {
        trastienda_event('a.b', $data);
    } catch (Trastienda\Exception\InvalidRequest $exception) {
        if ($expected !== false || $exception->getMessage() !== 'the data cannot be written as JSON: ' . json_last_error_msg()) {
            exit("seed $seed, number $n: refused with {$exception->getMessage()}: " . var_export($data, true));
        }
        $refused++;
        continue;
    }
    $body = $agent->request()['body'];
    if ($expected === false || !str_ends_with($body, ",\"data\":$expected}")) {
        exit("seed $seed, number $n:\n$body\n$expected\n");
    }
    $sent++;
}
check('most were sent', $sent > 2000);
check('some were refused', $refused > 20);
?>
--EXPECT--
most were sent: yes
some were refused: yes
