<?php

declare(strict_types=1);

use Illuminate\Support\Facades\Route;
use Shop\Http\ShopController;
use Shop\Integration\MercadoPagoNotice;
use Shop\Integration\ReceiveWebhook;

Route::get('/', [ShopController::class, 'catalogue']);
Route::post('/orders', [ShopController::class, 'order']);
Route::get('/orders/{id}', [ShopController::class, 'show']);
Route::post('/orders/{id}/checkout', [ShopController::class, 'checkout']);
Route::get('/received', [ShopController::class, 'received']);

Route::post('/webhooks/mercadopago', MercadoPagoNotice::class);
Route::post('/webhooks/shops', ReceiveWebhook::class);
