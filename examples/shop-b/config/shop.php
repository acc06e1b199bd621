<?php

declare(strict_types=1);

return [
    'name' => 'Librería del Sur',
    'code' => 'LIBRO',
    'greeting' => 'Libros elegidos uno por uno, en Bahía Blanca.',
    'currency' => 'ARS',
    'products' => [
        'ficciones' => ['name' => 'Ficciones, Jorge Luis Borges', 'price' => '21900.00'],
        'rayuela' => ['name' => 'Rayuela, Julio Cortázar', 'price' => '34500.00'],
        'cuaderno-a5' => ['name' => 'Cuaderno A5 cosido a mano', 'price' => '9800.00'],
    ],
];
