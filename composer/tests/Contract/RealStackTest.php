<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Contract;

use Illuminate\Notifications\AnonymousNotifiable;
use Illuminate\Notifications\Notification;
use Illuminate\Support\Facades\Artisan;
use Illuminate\Support\Facades\DB;
use PHPUnit\Framework\Attributes\DataProvider;
use Symfony\Component\Mime\Email;
use Trastienda\Exception\InvalidRequest;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Extension;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Mail\TrastiendaTransport;
use Trastienda\Laravel\Notifications\TrastiendaMessage;
use Trastienda\Laravel\Outgoing\Outgoing;
use Trastienda\Laravel\Tests\Support\RealStack;
use Trastienda\Laravel\Tests\TestCase;

/**
 * The same cases over every transport, against a real hub and a real agent.
 *
 * The extension's turn comes where the extension is loaded.
 */
final class RealStackTest extends TestCase
{
    private static ?RealStack $stack = null;

    public static function setUpBeforeClass(): void
    {
        parent::setUpBeforeClass();

        if (RealStack::missing() === null) {
            self::$stack = RealStack::up();
        }
    }

    public static function tearDownAfterClass(): void
    {
        self::$stack?->stop();
        self::$stack = null;

        parent::tearDownAfterClass();
    }

    /**
     * @return array<string, array{string}>
     */
    public static function transports(): array
    {
        return ['extension' => ['extension'], 'socket' => ['socket'], 'http' => ['http']];
    }

    /**
     * @dataProvider transports
     */
    #[DataProvider('transports')]
    public function test_events_and_notifications_arrive_once(string $transport): void
    {
        $stack = $this->over($transport);
        $order = "E-$transport";

        $id = Trastienda::event('order.created', ['order_id' => $order], ['idempotency_key' => "event-$order"]);
        self::assertSame($id, Trastienda::event('order.created', ['order_id' => $order], ['idempotency_key' => "event-$order"]));
        $mail = Trastienda::notify(['channel' => 'email', 'to' => "$transport@example.com", 'subject' => 'Hola', 'text' => "Pedido $order"]);
        $whatsapp = Trastienda::notify(['channel' => 'whatsapp', 'to' => '+54 9 341 555-1234', 'text' => 'Hola'], ['wait' => 10]);

        self::assertStringStartsWith('https://wa.me/5493415551234', $whatsapp['whatsapp']['link']);
        RealStack::until('the event at the hub', fn (): bool => $stack->call('GET', "/v1/events/$id")[0] === 200);
        self::assertStringContainsString($order, $stack->mailTo("$transport@example.com")['text']);
        RealStack::until('the mail is sent', fn (): bool => ($stack->call('GET', "/v1/notifications/{$mail['id']}")[1]['status'] ?? null) === 'sent');
        self::assertCount(1, $stack->call('GET', "/v1/events?type=order.created&order_id=$order")[1]['data']);
    }

    /**
     * @dataProvider transports
     */
    #[DataProvider('transports')]
    public function test_mailables_and_notifications_leave_by_it(string $transport): void
    {
        $stack = $this->over($transport);
        $mailer = new TrastiendaTransport($this->app->make(Outgoing::class));

        $mailer->send((new Email())->from('hola@example.com')->to("m-$transport@example.com")->cc("c-$transport@example.com")->subject('Factura')
            ->html('<p>Adjunta</p>')->attach('%PDF-1.4', 'factura.pdf', 'application/pdf'));
        (new AnonymousNotifiable())->route('trastienda', "n-$transport@example.com")->notify(new Confirmed("N-$transport"));

        self::assertSame('Factura', $stack->mailTo("m-$transport@example.com")['subject']);
        self::assertStringContainsString('Adjunta', $stack->mailTo("c-$transport@example.com")['html']);
        self::assertStringContainsString("N-$transport", $stack->mailTo("n-$transport@example.com")['text']);
    }

    /**
     * @dataProvider transports
     */
    #[DataProvider('transports')]
    public function test_a_payment_lives(string $transport): void
    {
        $stack = $this->over($transport);
        $payment = ['order_id' => "P-$transport", 'amount' => '1500.00', 'currency' => 'ARS', 'description' => 'Mate', 'method' => 'checkout', 'payer' => ['email' => 'ana@example.com']];

        $made = Trastienda::payments()->create($payment);
        self::assertTrue($made->isPending());
        self::assertSame($made->id, Trastienda::payments()->create($payment)->id);
        self::assertNotNull($made->checkoutUrl);

        RealStack::http('POST', "$stack->simulator/control/preferences/$made->providerReference/pay", []);
        RealStack::until('it is paid', fn (): bool => Trastienda::payments()->get($made->id)->isPaid());

        $refund = Trastienda::payments()->refund($made->id, '500.00');
        self::assertSame('500.00', $refund->amount);
        self::assertSame($refund->id, Trastienda::payments()->refund($made->id, '500.00')->id);
        RealStack::until('part of it is back', fn (): bool => Trastienda::payments()->get($made->id)->amountRefunded === '500.00');
        self::assertSame([$made->id], array_map(fn ($found): string => $found->id, Trastienda::payments()->forOrder("P-$transport")));
        self::assertNotSame([], Trastienda::payments()->sync($made->id)->toArray());
    }

    /**
     * @dataProvider transports
     */
    #[DataProvider('transports')]
    public function test_a_pix_has_a_code_and_can_be_given_up(string $transport): void
    {
        $this->over($transport);

        try {
            $pix = Trastienda::payments()->create(['order_id' => "X-$transport", 'amount' => '10.00', 'currency' => 'BRL', 'description' => 'Mate', 'method' => 'pix', 'payer' => ['email' => 'ana@example.com']]);
        } catch (TrastiendaException $exception) {
            // The seller is Argentine: Mercado Pago has no Pix there, and the answer says so.
            self::assertInstanceOf(InvalidRequest::class, $exception);

            return;
        }

        self::assertTrue($pix->isFailed() || $pix->qrCode !== null);
    }

    /**
     * @dataProvider transports
     */
    #[DataProvider('transports')]
    public function test_refusals_are_the_same(string $transport): void
    {
        $this->over($transport);
        $refused = [];

        foreach ([
            fn () => Trastienda::event('Order Created', ['order_id' => 'x']),
            fn () => Trastienda::event('order.created', ['total' => '1']),
            fn () => Trastienda::notify(['channel' => 'email', 'to' => 'nowhere', 'subject' => 'x', 'text' => 'x']),
            fn () => Trastienda::payments()->create(['order_id' => 'x', 'amount' => '15,00', 'currency' => 'ARS', 'description' => 'x', 'method' => 'checkout', 'payer' => ['email' => 'a@b.co']]),
            fn () => Trastienda::payments()->get('pay_019cafe00000700080000000000000ff'),
        ] as $call) {
            try {
                $call();
                self::fail('It was taken.');
            } catch (InvalidRequest $exception) {
                $refused[] = [$exception->getCode(), $exception->problemCode(), array_column($exception->errors(), 'pointer')];
            }
        }

        self::assertSame([[422, 'validation_failed', ['/type']], [422, 'validation_failed', ['/data/order_id']], [422, 'validation_failed', ['/to']], [422, 'validation_failed', ['/amount']], [404, 'not_found', []]], $refused);
    }

    /**
     * @dataProvider transports
     */
    #[DataProvider('transports')]
    public function test_flags_follow_the_hub(string $transport): void
    {
        $stack = $this->over($transport);
        $stack::http('PUT', "$stack->hub/admin/v1/projects/$stack->project/features/flag_$transport", ['enabled' => true], RealStack::ADMIN);

        // A hub may not know a flag, or know that it is off; then the default does not count.
        $unknown = $stack->call('GET', "/v1/features/unknown_$transport");
        self::assertSame($unknown[0] === 404, Trastienda::feature("unknown_$transport", true));

        // The agent's own copy is a little behind.
        RealStack::until('the flag is on', function () use ($transport): bool {
            $this->app['cache']->flush();

            return Trastienda::feature("flag_$transport", false);
        }, 90);
        self::assertTrue(Trastienda::feature("flag_$transport"));
    }

    /**
     * @dataProvider transports
     */
    #[DataProvider('transports')]
    public function test_an_outbox_and_a_transaction_end_in_one_event(string $transport): void
    {
        $stack = $this->over($transport);
        Artisan::call('migrate');
        $this->configure(['outbox.enabled' => true]);

        $id = DB::transaction(fn (): string => Trastienda::event('order.created', ['order_id' => "O-$transport"]));

        self::assertSame(0, DB::table('trastienda_outbox')->count());
        RealStack::until('the event at the hub', fn (): bool => $stack->call('GET', "/v1/events/$id")[0] === 200);
    }

    public function test_with_the_agent_stopped_the_outbox_keeps_everything_and_sends_each_once(): void
    {
        $stack = $this->over('socket');
        Artisan::call('migrate');
        $stack->startAgent('spare', $stack->key);
        $this->configure(['socket' => $stack->path('spare.sock'), 'transport' => 'socket', 'url' => null, 'outbox.enabled' => true]);
        $stack->stopAgent('spare');

        $ids = array_map(fn (int $n): string => Trastienda::event('stock.counted', ['n' => $n]), range(1, 5));
        self::assertSame(5, DB::table('trastienda_outbox')->count());

        $stack->startAgent('spare', $stack->key);
        $this->travel(10)->minutes();
        Artisan::call('trastienda:outbox');
        $this->travelBack();

        self::assertSame(0, DB::table('trastienda_outbox')->count());

        foreach ($ids as $id) {
            RealStack::until('the event at the hub', fn (): bool => $stack->call('GET', "/v1/events/$id")[0] === 200);
        }
    }

    private function over(string $transport): RealStack
    {
        $stack = self::$stack ?? self::markTestSkipped((string) RealStack::missing());

        if ($transport === 'extension' && ! $this->app->make(Extension::class)->isUsable()) {
            self::markTestSkipped('The extension is not loaded.');
        }

        $this->configure(['transport' => $transport, 'socket' => $stack->socket, 'url' => $stack->hub, 'key' => $stack->key, 'fallback' => 'throw']);
        self::assertSame($transport, $this->app->make(Transport::class)->name());

        return $stack;
    }
}

final class Confirmed extends Notification
{
    public function __construct(private readonly string $order)
    {
    }

    /**
     * @return list<string>
     */
    public function via(): array
    {
        return ['trastienda'];
    }

    public function toTrastienda(): TrastiendaMessage
    {
        return TrastiendaMessage::email('order_confirmation')->with(['order_id' => $this->order, 'customer_name' => 'Ana', 'total' => '1500.00', 'currency' => 'ARS'])->order($this->order);
    }
}
