<?php

declare(strict_types=1);

return [
    'name' => 'Todo a Mano',
    'code' => 'MANO',
    'greeting' => 'La misma tienda, sin trastienda.',
    'currency' => 'ARS',
    'products' => [
        'mate-calabaza' => ['name' => 'Mate de calabaza con virola', 'price' => '18500.00'],
        'yerba-kilo' => ['name' => 'Yerba mate con palo, 1 kg', 'price' => '4200.50'],
    ],
];
