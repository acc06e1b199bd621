<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Facades;

use Illuminate\Support\Facades\Facade;
use Trastienda\Laravel\Payments\Payments;

/**
 * @method static string event(string $type, array|\Illuminate\Contracts\Support\Arrayable $data, array $options = [])
 * @method static array notify(array|\Illuminate\Contracts\Support\Arrayable $notification, array $options = [])
 * @method static Payments payments()
 * @method static bool feature(string $flag, bool $default = false)
 * @method static array request(string $method, string $path, ?array $body = null, array $headers = [])
 * @method static array status()
 *
 * @see \Trastienda\Laravel\Trastienda
 */
final class Trastienda extends Facade
{
    protected static function getFacadeAccessor(): string
    {
        return \Trastienda\Laravel\Trastienda::class;
    }
}
