<?php

declare(strict_types=1);

// The stub agent is the one that the package's own tests use.
require __DIR__.'/../../composer/tests/bootstrap.php';
require __DIR__.'/RunningShop.php';
