<?php

declare(strict_types=1);

return [
    'default' => 'smtp',
    'mailers' => [
        'smtp' => [
            'transport' => 'smtp',
            'host' => env('MAIL_HOST', '127.0.0.1'),
            'port' => env('MAIL_PORT', 587),
            'encryption' => env('MAIL_ENCRYPTION'),
            'username' => env('MAIL_USERNAME'),
            'password' => env('MAIL_PASSWORD'),
            'timeout' => 15,
        ],
    ],
    'from' => ['address' => env('MAIL_FROM_ADDRESS', 'hola@example.com'), 'name' => env('MAIL_FROM_NAME', 'Todo a Mano')],
];
