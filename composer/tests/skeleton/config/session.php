<?php

declare(strict_types=1);

return [
    'driver' => 'array',
    'lifetime' => 120,
    'expire_on_close' => false,
    'lottery' => [0, 100],
    'cookie' => 'tests',
    'path' => '/',
    'domain' => null,
    'secure' => false,
];
