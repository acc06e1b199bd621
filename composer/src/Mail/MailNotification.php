<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Mail;

use Symfony\Component\Mailer\Header\MetadataHeader;
use Symfony\Component\Mailer\Header\TagHeader;
use Symfony\Component\Mime\Address;
use Symfony\Component\Mime\Email;
use Symfony\Component\Mime\Header\ParameterizedHeader;
use Symfony\Component\Mime\Part\DataPart;

/**
 * A Symfony e-mail as the body of a notification.
 *
 * Tags and metadata are kept as the notification's metadata; `order_id` among them says which
 * order it is about. Pictures that the HTML shows by `cid:` go along as inline attachments.
 */
final class MailNotification
{
    /**
     * @param  array<string, mixed>  $body
     */
    private function __construct(public readonly array $body, private readonly ?string $key)
    {
    }

    public static function from(Email $email): self
    {
        $html = self::text($email->getHtmlBody());
        $attachments = [];

        foreach ($email->getAttachments() as $part) {
            $attachment = [
                'filename' => self::parameter($part, 'Content-Disposition', 'filename') ?? 'attachment',
                'content_type' => $part->getMediaType().'/'.$part->getMediaSubtype(),
                'content' => base64_encode($part->getBody()),
            ];
            // The same name in every attempt at the same mail, which a repeat is recognised by.
            $id = 'inline-'.(count($attachments) + 1);
            $names = array_map(fn (string $name): string => "cid:$name", self::contentIds($part));
            $shown = $html === null || $names === [] ? $html : str_replace($names, "cid:$id", $html);

            if ($shown !== $html) {
                $html = $shown;
                $attachment['content_id'] = $id;
            }

            $attachments[] = $attachment;
        }

        $metadata = self::metadata($email);

        return new self(array_filter([
            'subject' => $email->getSubject() ?? '',
            'html' => $html,
            'text' => self::text($email->getTextBody()),
            'from' => self::address($email->getFrom()),
            'reply_to' => self::address($email->getReplyTo()),
            'attachments' => $attachments,
            'order_id' => isset($metadata['order_id']) ? (string) $metadata['order_id'] : null,
            'metadata' => $metadata,
        ], fn (mixed $value): bool => $value !== null && $value !== []), self::key($email));
    }

    /**
     * The mail's own key, and among several recipients this one's.
     */
    public function keyFor(string $address, int $recipients): ?string
    {
        if ($this->key === null || $recipients === 1) {
            return $this->key;
        }

        return substr($this->key, 0, 230).'-'.substr(hash('sha256', strtolower($address)), 0, 16);
    }

    private static function key(Email $email): ?string
    {
        $key = trim((string) $email->getHeaders()->get('Idempotency-Key')?->getBodyAsString());

        return $key === '' ? null : $key;
    }

    /**
     * @return array<string, mixed>
     */
    private static function metadata(Email $email): array
    {
        $metadata = $tags = [];

        foreach ($email->getHeaders()->all() as $header) {
            if ($header instanceof MetadataHeader) {
                $metadata[$header->getKey()] = $header->getValue();
            } elseif ($header instanceof TagHeader) {
                $tags[] = $header->getValue();
            }
        }

        return $tags === [] ? $metadata : $metadata + ['tags' => $tags];
    }

    /**
     * By what the HTML may call this part, when it is meant to be shown in it.
     *
     * @return list<string>
     */
    private static function contentIds(DataPart $part): array
    {
        if ($part->getPreparedHeaders()->get('Content-Disposition')?->getBody() !== 'inline') {
            return [];
        }

        return array_values(array_filter([
            $part->hasContentId() ? $part->getContentId() : null,
            self::parameter($part, 'Content-Disposition', 'filename'),
            self::parameter($part, 'Content-Type', 'name'),
        ], is_string(...)));
    }

    private static function parameter(DataPart $part, string $header, string $name): ?string
    {
        $found = $part->getPreparedHeaders()->get($header);
        $value = $found instanceof ParameterizedHeader ? $found->getParameter($name) : '';

        return $value === '' ? null : $value;
    }

    /**
     * @param  array<Address>  $addresses
     */
    private static function address(array $addresses): ?string
    {
        $address = reset($addresses);

        if (! $address instanceof Address) {
            return null;
        }

        // As it is read, not as it travels: the hub encodes names by itself.
        $name = str_replace(['"', '<', '>'], '', $address->getName());

        return $name === '' ? $address->getAddress() : "$name <{$address->getAddress()}>";
    }

    /**
     * @param  resource|string|null  $body
     */
    private static function text(mixed $body): ?string
    {
        $text = is_resource($body) ? stream_get_contents($body, -1, 0) : $body;

        return is_string($text) && $text !== '' ? $text : null;
    }
}
