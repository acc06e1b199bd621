<?php

declare(strict_types=1);

// The stub agent is the one that the package's own tests use.
require __DIR__.'/../../composer/tests/bootstrap.php';
require __DIR__.'/RunningShop.php';

foreach (['Counts', 'Scenario', 'Page'] as $class) {
    require __DIR__."/../time-saved/$class.php";
}
