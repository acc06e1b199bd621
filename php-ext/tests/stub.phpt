--TEST--
The stub for editors says what the loaded extension says
--FILE--
<?php
$code = <<<'CODE'
function type(?ReflectionType $type): string
{
    $types = explode('|', (string) $type);
    sort($types);
    return implode('|', $types);
}
function signature(ReflectionFunctionAbstract $function): string
{
    $parameters = array_map(fn ($p) => type($p->getType()) . ' $' . $p->getName()
        . ($p->isOptional() ? ' = ' . var_export($p->getDefaultValue(), true) : ''), $function->getParameters());
    return $function->getName() . '(' . implode(', ', $parameters) . '): ' . type($function->getReturnType());
}
function described(array $functions, array $classes): string
{
    $lines = array_map(fn ($name) => signature(new ReflectionFunction($name)), $functions);
    foreach ($classes as $name) {
        $class = new ReflectionClass($name);
        $lines[] = $class->getName() . ' extends ' . $class->getParentClass()->getName() . ($class->isFinal() ? ' final' : '');
        $own = fn (array $members) => array_filter($members, fn ($m) => $m->getDeclaringClass()->getName() === $class->getName());
        foreach ($own($class->getProperties()) as $property) {
            $lines[] = "$name \${$property->getName()} " . implode(' ', Reflection::getModifierNames($property->getModifiers()))
                . ' ' . type($property->getType()) . var_export($property->getDefaultValue(), true);
        }
        foreach ($own($class->getMethods()) as $method) {
            $lines[] = "$name " . implode(' ', Reflection::getModifierNames($method->getModifiers())) . ' ' . signature($method);
        }
    }
    sort($lines);
    return implode("\n", $lines);
}
CODE;
eval($code);
$extension = new ReflectionExtension('trastienda');
$loaded = described(array_keys($extension->getFunctions()), $extension->getClassNames());

// The stub is read by a PHP that has not loaded the extension.
$reader = $code . 'require $argv[1];
    $classes = array_filter(get_declared_classes(), fn ($name) => str_starts_with($name, "Trastienda"));
    $functions = array_filter(get_defined_functions()["user"], fn ($name) => str_starts_with($name, "trastienda_"));
    echo described($functions, $classes);';
$process = proc_open([PHP_BINARY, '-n', '-r', $reader, '--', __DIR__ . "/../trastienda.stub.php"], [1 => ['pipe', 'w']], $pipes);
$stub = stream_get_contents($pipes[1]);
proc_close($process);

echo substr_count($stub, "\n") > 20 ? 'the stub was read' : $stub, "\n";
echo $stub === $loaded ? 'they agree' : "the stub says:\n$stub\nthe extension says:\n$loaded", "\n";
?>
--EXPECT--
the stub was read
they agree
