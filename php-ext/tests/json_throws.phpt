--TEST--
An exception from the shop's own jsonSerialize() comes through as it is
--FILE--
<?php
require __DIR__ . '/agent.inc';
final class Throwing implements JsonSerializable
{
    public function jsonSerialize(): mixed { throw new DomainException('no stock', 42); }
}
$agent = StubAgent::start([]);

$exception = thrown(fn () => trastienda_event('a.b', ['x' => new Throwing()]));
echo get_class($exception), ' ', $exception->getCode(), ' ', $exception->getMessage(), ' line ', $exception->getLine(), "\n";
check('it has no other behind it', $exception->getPrevious() === null);
check('nothing was sent', $agent->unseen() === 0);
?>
--EXPECT--
DomainException 42 no stock line 5
it has no other behind it: yes
nothing was sent: yes
