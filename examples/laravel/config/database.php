<?php

declare(strict_types=1);

// `database` is filled in by bootstrap.php, from SHOP_DB.
return [
    'default' => 'sqlite',
    'connections' => [
        'sqlite' => ['driver' => 'sqlite', 'database' => null, 'prefix' => '', 'foreign_key_constraints' => true],
    ],
    'migrations' => 'migrations',
];
