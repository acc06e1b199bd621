<?php

declare(strict_types=1);

return [
    'name' => 'Mate y Compañía',
    'code' => 'MATE',
    'greeting' => 'Todo para tu mate, desde Rosario a todo el país.',
    'currency' => 'ARS',
    'products' => [
        'mate-calabaza' => ['name' => 'Mate de calabaza con virola', 'price' => '18500.00'],
        'bombilla-alpaca' => ['name' => 'Bombilla de alpaca', 'price' => '12900.00'],
        'yerba-kilo' => ['name' => 'Yerba mate con palo, 1 kg', 'price' => '4200.50'],
    ],
];
