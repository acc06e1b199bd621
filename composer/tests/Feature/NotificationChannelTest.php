<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Notifications\AnonymousNotifiable;
use Illuminate\Notifications\Notifiable;
use Illuminate\Notifications\Notification;
use Illuminate\Support\Facades\Notification as Notifications;
use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Notifications\TrastiendaMessage;
use Trastienda\Laravel\Tests\TestCase;

final class NotificationChannelTest extends TestCase
{
    public function test_a_notification_by_template_goes_to_the_notifiables_addresses(): void
    {
        $fake = Trastienda::fake();

        (new Customer('ana@example.com', '+54 9 11 1234-5678'))->notify(new OrderIsReady('A-1'));

        [$mail, $whatsapp] = array_map(fn ($call): array => $call->body ?? [], $fake->calls());
        unset($mail['id'], $whatsapp['id']);
        self::assertEquals(['channel' => 'email', 'template' => 'order_ready', 'data' => ['order_id' => 'A-1'], 'order_id' => 'A-1', 'to' => 'ana@example.com', 'locale' => 'es-AR'], $mail);
        self::assertEquals(['channel' => 'whatsapp', 'text' => 'Tu pedido A-1 está listo.', 'to' => '+54 9 11 1234-5678'], $whatsapp);
        self::assertStringStartsWith('order-A-1-email-order_ready-', (string) $fake->calls()[0]->header('Idempotency-Key'));
        self::assertSame('wait=3', $fake->calls()[1]->header('Prefer'));
    }

    public function test_a_notification_that_is_tried_again_is_the_same(): void
    {
        $fake = Trastienda::fake();
        $notification = new OrderIsReady('A-1');
        $notification->id = '4dd9d1a8-6d2f-4f30-9d0a-0c3f0b1d2e3f';
        $customer = new Customer('ana@example.com', '+541112345678');

        Notifications::sendNow($customer, $notification);
        Notifications::sendNow($customer, $notification);
        $other = new OrderIsReady('A-1');
        $other->id = '11111111-6d2f-4f30-9d0a-0c3f0b1d2e3f';
        Notifications::sendNow($customer, $other);

        $keys = array_map(fn ($call): string => (string) $call->header('Idempotency-Key'), array_values(array_filter($fake->calls(), fn ($call): bool => $call->body['channel'] === 'whatsapp')));
        self::assertSame($keys[0], $keys[1]);
        self::assertNotSame($keys[0], $keys[2]);
    }

    public function test_on_demand_and_by_array(): void
    {
        $fake = Trastienda::fake();

        (new AnonymousNotifiable())->route('trastienda', ['email' => 'eva@example.com'])->notify(new PlainNotice());
        (new AnonymousNotifiable())->route('trastienda', 'leo@example.com')->notify(new PlainNotice());
        (new AnonymousNotifiable())->route('mail', ['mia@example.com' => 'Mía'])->notify(new PlainNotice());
        (new AnonymousNotifiable())->route('trastienda', ['whatsapp' => '+541112345678'])->notify(new PlainNotice());

        self::assertSame(['eva@example.com', 'leo@example.com', 'mia@example.com'], array_map(fn ($call): string => $call->body['to'], $fake->calls()));
    }

    public function test_what_was_answered_is_laravels_response(): void
    {
        Trastienda::fake();
        $answers = null;
        $this->app['events']->listen(\Illuminate\Notifications\Events\NotificationSent::class, function ($event) use (&$answers): void {
            $answers = $event->response;
        });

        (new Customer('ana@example.com', '+541112345678'))->notify(new OrderIsReady('A-1'));

        self::assertSame('https://wa.me/541112345678', $answers[1]['whatsapp']['link']);
    }

    public function test_a_message_says_everything_that_the_contract_knows(): void
    {
        $body = TrastiendaMessage::email()->to('a@b.c')->subject('s')->html('<p>')->text('t')->from('x@y.z', 'X')->replyTo('r@y.z')->version(2)
            ->attachData('x', 'x.txt', 'text/plain')->attach(__FILE__, 'y.txt', 'text/plain')->metadata(['k' => 1])
            ->sendAt(new \DateTimeImmutable('2026-01-01T00:00:00Z'))->expiresAt(new \DateTimeImmutable('2026-01-02T00:00:00Z'))->toArray();

        self::assertSame(['channel', 'to', 'subject', 'html', 'text', 'from', 'reply_to', 'template_version', 'attachments', 'metadata', 'send_at', 'expires_at'], array_keys($body));
        self::assertSame('X <x@y.z>', $body['from']);
        self::assertSame(['x.txt', 'y.txt'], array_column($body['attachments'], 'filename'));
    }
}

final class Customer
{
    use Notifiable;

    public function __construct(public string $email, public string $phone)
    {
    }

    public function getKey(): int
    {
        return 1;
    }
}

final class OrderIsReady extends Notification
{
    public function __construct(private readonly string $order)
    {
        $this->locale = 'es_AR';
    }

    /**
     * @return list<string>
     */
    public function via(): array
    {
        return ['trastienda'];
    }

    /**
     * @return list<TrastiendaMessage>
     */
    public function toTrastienda(): array
    {
        return [
            TrastiendaMessage::email('order_ready')->with(['order_id' => $this->order])->order($this->order),
            TrastiendaMessage::whatsapp()->text("Tu pedido $this->order está listo.")->wait(3),
        ];
    }
}

final class PlainNotice extends Notification
{
    /**
     * @return list<string>
     */
    public function via(): array
    {
        return ['trastienda'];
    }

    /**
     * @return array<string, string>
     */
    public function toTrastienda(): array
    {
        return ['channel' => 'email', 'subject' => 'Hola', 'text' => 'Hola'];
    }
}
