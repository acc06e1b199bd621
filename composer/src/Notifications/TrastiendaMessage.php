<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Notifications;

use DateTimeInterface;
use Illuminate\Contracts\Support\Arrayable;
use Illuminate\Support\Traits\Conditionable;
use Illuminate\Support\Traits\Macroable;
use InvalidArgumentException;

/**
 * What a notification's `toTrastienda()` returns:
 * `TrastiendaMessage::email('order_confirmation')->with(['order_id' => …])->order($order->id)`.
 *
 * @implements Arrayable<string, mixed>
 */
final class TrastiendaMessage implements Arrayable
{
    use Conditionable;
    use Macroable;

    /** @var array<string, mixed> */
    private array $body;

    /** @var array<string, mixed> */
    private array $options = [];

    private function __construct(string $channel, ?string $template)
    {
        $this->body = ['channel' => $channel] + ($template === null ? [] : ['template' => $template]);
    }

    /**
     * A mail, by a template of the hub or with `subject()`, `html()` and `text()` of its own.
     */
    public static function email(?string $template = null): self
    {
        return new self('email', $template);
    }

    /**
     * A WhatsApp link for a person to tap, by a template or with `text()`.
     */
    public static function whatsapp(?string $template = null): self
    {
        return new self('whatsapp', $template);
    }

    public function to(string $address): self
    {
        return $this->set('to', $address);
    }

    /**
     * The template's variables.
     *
     * @param  array<array-key, mixed>  $data
     */
    public function with(array $data): self
    {
        return $this->set('data', $data + (array) ($this->body['data'] ?? []));
    }

    /**
     * The order that it is about; with a template, one to an order and address unless `attempt()` says otherwise.
     */
    public function order(string|int $id): self
    {
        return $this->set('order_id', (string) $id);
    }

    public function version(int $version): self
    {
        return $this->set('template_version', $version);
    }

    public function locale(string $locale): self
    {
        return $this->set('locale', $locale);
    }

    public function subject(string $subject): self
    {
        return $this->set('subject', $subject);
    }

    public function html(string $html): self
    {
        return $this->set('html', $html);
    }

    public function text(string $text): self
    {
        return $this->set('text', $text);
    }

    public function from(string $address, ?string $name = null): self
    {
        return $this->set('from', $name === null ? $address : "$name <$address>");
    }

    public function replyTo(string $address): self
    {
        return $this->set('reply_to', $address);
    }

    public function attachData(string $content, string $filename, string $type = 'application/octet-stream'): self
    {
        $files = (array) ($this->body['attachments'] ?? []);
        $files[] = ['filename' => $filename, 'content_type' => $type, 'content' => base64_encode($content)];

        return $this->set('attachments', $files);
    }

    public function attach(string $path, ?string $filename = null, ?string $type = null): self
    {
        $content = @file_get_contents($path);

        if ($content === false) {
            throw new InvalidArgumentException("Cannot read $path.");
        }

        return $this->attachData($content, $filename ?? basename($path), $type ?? (mime_content_type($path) ?: 'application/octet-stream'));
    }

    public function sendAt(DateTimeInterface $time): self
    {
        return $this->set('send_at', $time);
    }

    public function expiresAt(DateTimeInterface $time): self
    {
        return $this->set('expires_at', $time);
    }

    /**
     * @param  array<array-key, mixed>  $metadata  the shop's own notes
     */
    public function metadata(array $metadata): self
    {
        return $this->set('metadata', $metadata);
    }

    /**
     * Asks the hub itself to answer, at most that many seconds later: a WhatsApp link comes back at once.
     */
    public function wait(int $seconds = 5): self
    {
        $this->options['wait'] = $seconds;

        return $this;
    }

    /**
     * Sends it again on purpose.
     */
    public function attempt(int $attempt): self
    {
        $this->options['attempt'] = $attempt;

        return $this;
    }

    public function idempotencyKey(string $key): self
    {
        $this->options['idempotency_key'] = $key;

        return $this;
    }

    /**
     * @return array<string, mixed>
     */
    public function options(): array
    {
        return $this->options;
    }

    /**
     * @return array<string, mixed>
     */
    public function toArray(): array
    {
        return $this->body;
    }

    private function set(string $name, mixed $value): self
    {
        $this->body[$name] = $value;

        return $this;
    }
}
