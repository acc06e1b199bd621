<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Facades;

use Closure;
use Illuminate\Foundation\Application;
use Illuminate\Support\Facades\Facade;
use RuntimeException;
use Throwable;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Instances;
use Trastienda\Laravel\Payments\Payments;
use Trastienda\Laravel\Testing\FakePayments;
use Trastienda\Laravel\Testing\FakeTransport;
use Trastienda\Laravel\Testing\Payloads;
use Trastienda\Laravel\Testing\TrastiendaFake;
use Trastienda\Laravel\Webhooks\SignedWebhook;
use Trastienda\Laravel\Wire\Reply;

/**
 * @method static string event(string $type, array<array-key, mixed>|\Illuminate\Contracts\Support\Arrayable<array-key, mixed> $data = [], array<string, mixed> $options = [])
 * @method static array<array-key, mixed> notify(array<array-key, mixed>|\Illuminate\Contracts\Support\Arrayable<array-key, mixed> $notification, array<string, mixed> $options = [])
 * @method static Payments payments()
 * @method static bool feature(string $flag, bool $default = false)
 * @method static array<array-key, mixed> request(string $method, string $path, array<array-key, mixed>|null $body = null, array<string, string> $headers = [])
 * @method static array<string, mixed> status()
 * @method static void macro(string $name, object|callable $macro)
 *
 * @see \Trastienda\Laravel\Trastienda
 */
final class Trastienda extends Facade
{
    /**
     * From here on nothing leaves, and everything is remembered and can be asked about.
     *
     * @param  array<int|string, string|array<array-key, mixed>|Closure|Reply|Throwable>  $answers  `'POST /v1/payments' => …` scripts an answer; `'events'` names a kind that `preventStray()` lets pass
     */
    public static function fake(array $answers = []): TrastiendaFake
    {
        $scripted = $kinds = [];

        foreach ($answers as $at => $answer) {
            if (is_string($answer)) {
                $kinds[] = $answer;
            } elseif (is_string($at)) {
                $scripted[$at] = $answer;
            }
        }

        $fake = new TrastiendaFake(new FakeTransport(new FakePayments(), $scripted, $kinds));
        $app = self::application();

        if ($answers !== [] && $app->bound(TrastiendaFake::class) && $app->make(TrastiendaFake::class)->preventsStray()) {
            // The suite asked for it, and this names what is let pass.
            $fake->preventStray();
        }

        Instances::forget($app);
        $app->instance(Transport::class, $fake->transport);
        $app->instance(TrastiendaFake::class, $fake);

        return $fake;
    }

    /**
     * Every call that is not faked throws `StrayCall`: for a test suite's `setUp()`, where a
     * later `fake()` allows what it names.
     */
    public static function preventStray(): TrastiendaFake
    {
        return (self::application()->bound(TrastiendaFake::class) ? self::faked() : self::fake())->preventStray();
    }

    /**
     * A webhook of this type as the hub would sign it, with plausible data around what is given:
     * `Trastienda::webhook('order.paid', ['order_id' => 'A-1'])->post($this)`.
     *
     * @param  array<array-key, mixed>  $data
     */
    public static function webhook(string $type, array $data = []): SignedWebhook
    {
        if (config('trastienda.webhooks.secret') === null && app()->runningUnitTests()) {
            // A test suite has no endpoint at a hub, and so no secret.
            config(['trastienda.webhooks.secret' => 'whsec_'.base64_encode(random_bytes(24))]);
        }

        return SignedWebhook::make($type, Payloads::for($type, $data));
    }

    /**
     * @param  Closure|array<array-key, mixed>|int|null  $matching  a closure given the data and the call, data it must have, or how often
     */
    public static function assertEventSent(string $type, Closure|array|int|null $matching = null): void
    {
        self::faked()->assertEventSent($type, $matching);
    }

    /**
     * @param  Closure|array<array-key, mixed>|null  $matching
     */
    public static function assertEventNotSent(string $type, Closure|array|null $matching = null): void
    {
        self::faked()->assertEventNotSent($type, $matching);
    }

    public static function assertNotified(Closure|string|null $matching = null, ?Closure $and = null): void
    {
        self::faked()->assertNotified($matching, $and);
    }

    public static function assertNotNotified(Closure|string|null $matching = null): void
    {
        self::faked()->assertNotNotified($matching);
    }

    public static function assertPaymentCreated(Closure|string|int|null $matching = null, ?Closure $and = null): void
    {
        self::faked()->assertPaymentCreated($matching, $and);
    }

    public static function assertPaymentNotCreated(Closure|string|int|null $matching = null): void
    {
        self::faked()->assertPaymentNotCreated($matching);
    }

    public static function assertRefunded(string $paymentId, ?string $amount = null): void
    {
        self::faked()->assertRefunded($paymentId, $amount);
    }

    public static function assertNothingSent(): void
    {
        self::faked()->assertNothingSent();
    }

    protected static function getFacadeAccessor(): string
    {
        return \Trastienda\Laravel\Trastienda::class;
    }

    private static function faked(): TrastiendaFake
    {
        $app = self::application();

        return $app->bound(TrastiendaFake::class)
            ? $app->make(TrastiendaFake::class)
            : throw new RuntimeException('Call Trastienda::fake() first.');
    }

    private static function application(): Application
    {
        $app = self::getFacadeApplication();

        return $app instanceof Application ? $app : throw new RuntimeException('There is no Laravel application here.');
    }
}
