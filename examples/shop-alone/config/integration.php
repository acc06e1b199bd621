<?php

declare(strict_types=1);

return [
    'mercadopago' => [
        'url' => env('MERCADOPAGO_URL', 'https://api.mercadopago.com'),
        'token' => env('MERCADOPAGO_ACCESS_TOKEN'),
        'secret' => env('MERCADOPAGO_WEBHOOK_SECRET'),
    ],
    'webhooks' => [
        // address|secret, separated by commas.
        'endpoints' => array_filter(explode(',', (string) env('WEBHOOK_ENDPOINTS', ''))),
        'secret' => env('WEBHOOK_SECRET'),
        'tolerance' => 300,
        'retries' => [5, 60, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400],
    ],
];
