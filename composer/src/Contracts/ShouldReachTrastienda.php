<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Contracts;

/**
 * A Laravel event that the hub hears of too: implement this, and dispatch it as ever.
 *
 * It needs no method. What it is called and says comes from the class: `OrderShipped` is
 * `order.shipped`, its public properties are its data (a model is its array), and a model
 * in `$order` gives `order_id`. To say it yourself, add any of these:
 *
 * - `trastiendaType(): string`
 * - `trastiendaData(): array`
 * - `trastiendaOptions(): array`, as `Trastienda::event()` takes them
 * - `shouldReachTrastienda(): bool`
 *
 * It leaves after the transaction in which it was dispatched. What goes wrong is reported,
 * and never breaks whoever dispatched it.
 */
interface ShouldReachTrastienda
{
}
