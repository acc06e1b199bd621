<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Illuminate\Mail\MailManager;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Mail;
use Symfony\Component\Mailer\Envelope;
use Symfony\Component\Mailer\Exception\TransportExceptionInterface;
use Symfony\Component\Mailer\Header\MetadataHeader;
use Symfony\Component\Mailer\Header\TagHeader;
use Symfony\Component\Mime\Address;
use Symfony\Component\Mime\Email;
use Trastienda\Exception\AgentUnavailable;
use Trastienda\Laravel\Exceptions\InvalidConfig;
use Trastienda\Laravel\Mail\TrastiendaTransport;
use Trastienda\Laravel\Outgoing\Outgoing;
use Trastienda\Laravel\Tests\TestCase;

/**
 * The transport with Symfony's own mailer, which is what Laravel has mailed with since version 9.
 */
final class MailTest extends TestCase
{
    private const ACCEPTED = ['status' => 202, 'body' => ['id' => '{id}', 'status' => 'pending']];

    public function test_a_mail_leaves_as_a_notification_with_all_it_has(): void
    {
        $agent = $this->agent(self::ACCEPTED);
        $email = (new Email())->from(new Address('hola@example.com', 'Mate y Compañía'))->replyTo('ventas@example.com')->to('ana@example.com')
            ->subject('Tu pedido ñandú')->text('Hola')->html('<p>Hola <img src="cid:logo"></p>')
            ->attach('%PDF-1.4', 'factura ñ.pdf', 'application/pdf')->embed('PNG', 'logo', 'image/png');
        $email->getHeaders()->add(new TagHeader('confirmación'))->add(new MetadataHeader('order_id', 'A-1'))->addTextHeader('Idempotency-Key', 'mail-A-1');

        $sent = $this->transport()->send($email);

        $request = $agent->onlyRequest();
        $body = json_decode($request['body'], true);
        self::assertSame('mail-A-1', $request['headers']['idempotency-key']);
        self::assertSame($body['id'], $sent?->getMessageId());
        unset($body['id']);
        self::assertSame([
            'channel' => 'email',
            'to' => 'ana@example.com',
            'subject' => 'Tu pedido ñandú',
            'html' => '<p>Hola <img src="cid:inline-2"></p>',
            'text' => 'Hola',
            'from' => 'Mate y Compañía <hola@example.com>',
            'reply_to' => 'ventas@example.com',
            'attachments' => [
                ['filename' => 'factura ñ.pdf', 'content_type' => 'application/pdf', 'content' => base64_encode('%PDF-1.4')],
                ['filename' => 'logo', 'content_type' => 'image/png', 'content' => base64_encode('PNG'), 'content_id' => 'inline-2'],
            ],
            'order_id' => 'A-1',
            'metadata' => ['order_id' => 'A-1', 'tags' => ['confirmación']],
        ], $body);
    }

    public function test_several_recipients_are_several_notifications_each_with_its_own_id_and_key(): void
    {
        $agent = $this->agent(self::ACCEPTED);
        $email = (new Email())->from('hola@example.com')->to('ana@example.com')->cc('eva@example.com')->bcc('leo@example.com')->subject('Hola')->text('Hola');
        $email->getHeaders()->addTextHeader('Idempotency-Key', 'k');

        $this->transport()->send($email);
        $this->transport()->send($email);

        $bodies = array_map(fn (array $request): array => json_decode($request['body'], true), $agent->requests());
        $keys = array_map(fn (array $request): string => $request['headers']['idempotency-key'], $agent->requests());
        self::assertSame(['ana@example.com', 'eva@example.com', 'leo@example.com'], array_slice(array_column($bodies, 'to'), 0, 3));
        self::assertCount(6, array_unique(array_column($bodies, 'id')));
        self::assertSame(array_slice($keys, 0, 3), array_slice($keys, 3));
        self::assertCount(3, array_unique($keys));
    }

    public function test_the_envelope_decides_to_whom(): void
    {
        $agent = $this->agent(self::ACCEPTED);

        $this->transport()->send((new Email())->from('hola@example.com')->to('ana@example.com')->subject('Hola')->text('Hola'), new Envelope(new Address('hola@example.com'), [new Address('staging@example.com')]));

        self::assertSame('staging@example.com', json_decode($agent->onlyRequest()['body'], true)['to']);
    }

    public function test_a_failure_is_one_that_a_failover_mailer_understands(): void
    {
        try {
            $this->transport()->send((new Email())->from('hola@example.com')->to('ana@example.com')->subject('Hola')->text('Hola'));
            self::fail('No exception.');
        } catch (TransportExceptionInterface $exception) {
            self::assertInstanceOf(AgentUnavailable::class, $exception->getPrevious());
        }
    }

    public function test_a_mail_of_a_transaction_leaves_after_it(): void
    {
        $agent = $this->agent(self::ACCEPTED);

        DB::transaction(function () use ($agent): void {
            $this->transport()->send((new Email())->from('hola@example.com')->to('ana@example.com')->subject('Hola')->text('Hola'));
            self::assertSame([], $agent->requests());
        });

        self::assertCount(1, $agent->requests());
    }

    public function test_the_mailer_is_there_without_a_line_of_configuration(): void
    {
        self::assertSame(['transport' => 'trastienda'], $this->app['config']->get('mail.mailers.trastienda'));

        if (method_exists(MailManager::class, 'createSymfonyTransport')) {
            $agent = $this->agent(self::ACCEPTED);
            Mail::mailer('trastienda')->raw('Hola', fn ($message) => $message->to('ana@example.com')->subject('Hola'));
            self::assertSame('ana@example.com', json_decode($agent->onlyRequest()['body'], true)['to']);

            return;
        }

        // Laravel 8, which mails by Swift.
        $this->expectException(InvalidConfig::class);
        Mail::mailer('trastienda');
    }

    private function transport(): TrastiendaTransport
    {
        return new TrastiendaTransport($this->app->make(Outgoing::class));
    }
}
