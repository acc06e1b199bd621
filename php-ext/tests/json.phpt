--TEST--
Data looks on the wire as json_encode writes it
--FILE--
<?php
require __DIR__ . '/agent.inc';
enum Suit: string { case Hearts = 'H'; }
final class Cart implements JsonSerializable
{
    public function __construct(private array $lines) {}
    public function jsonSerialize(): mixed { return ['lines' => $this->lines]; }
}
final class Plain { public $a = 1; protected $b = 2; public ?Plain $c = null; }

$agent = StubAgent::start([]);
$reference = 5;
$data = [
    'string' => "quote \" slash / line \n tab \t ü € 🛒 \u{2028}",
    'float' => 1.0, 'fraction' => 0.1, 'third' => 1 / 3, 'large' => 1e100, 'minus zero' => -0.0,
    'max' => PHP_INT_MAX, 'min' => PHP_INT_MIN,
    'true' => true, 'null' => null,
    'list' => [1, 2, [3]], 'map' => ['a' => 1], 'gaps' => [1 => 'a', 3 => 'b'], 'numeric keys' => ['0' => 'a', '1' => 'b'],
    'empty' => [], 'empty object' => new stdClass(), 'nested' => ['deep' => ['deeper' => []]],
    'serializable' => new Cart([['sku' => 'x', 'quantity' => 2.0]]), 'plain' => new Plain(), 'enum' => Suit::Hearts,
    'date' => new DateTimeImmutable('2026-01-02 03:04:05', new DateTimeZone('UTC')),
    'reference' => &$reference, '' => 'empty key', 7 => 'integer key',
];
trastienda_event('a.b', $data);
$expected = json_encode($data, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION);
$body = $agent->request()['body'];
check('equal', str_ends_with($body, ',"data":' . $expected . '}'));

trastienda_event('a.b', []);
echo substr($agent->request()['body'], 45), "\n";
trastienda_event("quote \" and \\ and \x01", ['é' => 'ñ']);
echo substr($agent->request()['body'], 45), "\n";
trastienda_event('a.b', [1, 2]);
echo substr($agent->request()['body'], 45), "\n";
?>
--EXPECT--
equal: yes
"type":"a.b","data":{}}
"type":"quote \" and \\ and \u0001","data":{"é":"ñ"}}
"type":"a.b","data":[1,2]}
