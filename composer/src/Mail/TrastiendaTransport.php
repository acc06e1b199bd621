<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Mail;

use Psr\EventDispatcher\EventDispatcherInterface;
use Psr\Log\LoggerInterface;
use Symfony\Component\Mailer\Exception\TransportException;
use Symfony\Component\Mailer\SentMessage;
use Symfony\Component\Mailer\Transport\AbstractTransport;
use Symfony\Component\Mime\Message;
use Symfony\Component\Mime\MessageConverter;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Laravel\Ids;
use Trastienda\Laravel\Outgoing\Outgoing;
use Trastienda\Laravel\Wire\Call;

/**
 * `MAIL_MAILER=trastienda`: any Mailable leaves as a notification of the hub.
 *
 * The hub writes to one address at a time, so a mail to several is one notification each,
 * with its own id; copies are written to as anybody else. A header `Idempotency-Key` makes a
 * repeat the same mail; within a queued job that is so by itself.
 */
final class TrastiendaTransport extends AbstractTransport
{
    public function __construct(
        private readonly Outgoing $outgoing,
        ?EventDispatcherInterface $dispatcher = null,
        ?LoggerInterface $logger = null,
    ) {
        parent::__construct($dispatcher, $logger);
    }

    public function __toString(): string
    {
        return 'trastienda';
    }

    protected function doSend(SentMessage $message): void
    {
        $original = $message->getOriginalMessage();

        if (! $original instanceof Message) {
            throw new TransportException('The mailer "trastienda" sends what has a subject and a text, not raw bytes.');
        }

        $mail = MailNotification::from(MessageConverter::toEmail($original));
        $recipients = $message->getEnvelope()->getRecipients();
        $first = null;

        foreach ($recipients as $recipient) {
            $id = Ids::notification();
            $key = $mail->keyFor($recipient->getAddress(), count($recipients));
            $call = new Call('POST', '/v1/notifications', ['id' => $id, 'channel' => 'email', 'to' => $recipient->getAddress()] + $mail->body, $key === null ? [] : ['Idempotency-Key' => $key]);

            try {
                $reply = $this->outgoing->send($call);
            } catch (TrastiendaException $exception) {
                // What Laravel's failover mailer waits for.
                throw new TransportException($exception->getMessage(), (int) $exception->getCode(), $exception);
            }

            $first ??= $reply->text('id') ?? $id;
        }

        if ($first !== null) {
            $message->setMessageId($first);
        }
    }
}
