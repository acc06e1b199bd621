<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Events;

use Illuminate\Database\Eloquent\Model;
use Illuminate\Support\Str;
use ReflectionObject;
use ReflectionProperty;
use Trastienda\Laravel\Contracts\ShouldReachTrastienda;

/**
 * What a Laravel event says to the hub.
 */
final class ShopEvent
{
    /** What Laravel's own traits put on events, which is nobody else's business. */
    private const NOT_DATA = ['socket', 'connection', 'queue', 'delay', 'afterCommit', 'broadcastQueue', 'tries'];

    public static function isWanted(ShouldReachTrastienda $event): bool
    {
        return ! method_exists($event, 'shouldReachTrastienda') || (bool) $event->shouldReachTrastienda();
    }

    public static function type(ShouldReachTrastienda $event): string
    {
        return method_exists($event, 'trastiendaType')
            ? (string) $event->trastiendaType()
            : Str::snake(class_basename($event), '.');
    }

    /**
     * @return array<string, mixed>
     */
    public static function data(ShouldReachTrastienda $event): array
    {
        if (method_exists($event, 'trastiendaData')) {
            return (array) $event->trastiendaData();
        }

        $data = [];

        foreach ((new ReflectionObject($event))->getProperties(ReflectionProperty::IS_PUBLIC) as $property) {
            if (! $property->isStatic() && $property->isInitialized($event) && ! in_array($property->getName(), self::NOT_DATA, true)) {
                $data[Str::snake($property->getName())] = $property->getValue($event);
            }
        }

        $order = $data['order'] ?? null;

        if (! isset($data['order_id']) && $order instanceof Model) {
            $data['order_id'] = $order->getKey();
        }

        return $data;
    }

    /**
     * @return array<string, mixed>
     */
    public static function options(ShouldReachTrastienda $event): array
    {
        return method_exists($event, 'trastiendaOptions') ? (array) $event->trastiendaOptions() : [];
    }
}
