--TEST--
The exceptions are PHP's in every way
--FILE--
<?php
require __DIR__ . '/agent.inc';
ini_set('trastienda.socket', '/nowhere/at.all');

function inner(): void { trastienda_event('a.b', ['n' => 1]); }
function outer(): void { inner(); }

$exception = thrown('outer');
echo basename($exception->getFile()), ':', $exception->getLine(), "\n";
echo implode(' < ', array_column($exception->getTrace(), 'function')), "\n";
echo preg_match('/#0 .*exceptions\.php\(5\): trastienda_event\(\'a\.b\', Array\)/', $exception->getTraceAsString()), "\n";

foreach (['AgentUnavailable', 'HubUnavailable', 'InvalidRequest', 'Unauthorized', 'RateLimited', 'BufferFull', 'InvalidSignature', 'OutcomeUnknown'] as $class) {
    $exception = new ("Trastienda\\Exception\\$class")('message', 7, new LogicException('before'));
    check($class, $exception instanceof Trastienda\Exception\TrastiendaException && $exception instanceof RuntimeException
        && $exception->getMessage() === 'message' && $exception->getCode() === 7 && $exception->getLine() === __LINE__ - 2
        && $exception->getPrevious()->getMessage() === 'before' && $exception->problemCode() === null);
}

// A shop's tests make their own.
var_dump((new Trastienda\Exception\InvalidRequest())->errors());
var_dump((new Trastienda\Exception\RateLimited())->retryAfter());
var_dump((new Trastienda\Exception\OutcomeUnknown())->id());
final class Fake extends Trastienda\Exception\OutcomeUnknown { protected $id = 'pay_1'; }
var_dump((new Fake())->id());
show(fn () => (new Fake())->id(1));
?>
--EXPECT--
exceptions.php:5
trastienda_event < inner < outer < thrown
1
AgentUnavailable: yes
HubUnavailable: yes
InvalidRequest: yes
Unauthorized: yes
RateLimited: yes
BufferFull: yes
InvalidSignature: yes
OutcomeUnknown: yes
array(0) {
}
NULL
string(0) ""
string(5) "pay_1"
ArgumentCountError 0: Trastienda\Exception\OutcomeUnknown::id() expects exactly 0 arguments, 1 given
