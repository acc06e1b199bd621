<?php

declare(strict_types=1);

namespace Shop\Integration;

use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldBeEncrypted;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Http;
use Throwable;

/**
 * One delivery: signed, tried by the schedule, every attempt written down.
 */
final class DeliverWebhook implements ShouldBeEncrypted, ShouldQueue
{
    use Dispatchable;
    use InteractsWithQueue;
    use Queueable;

    public int $tries = 11;

    public function __construct(public int $delivery, public string $secret)
    {
    }

    public function handle(): void
    {
        $row = DB::table('webhook_deliveries')->find($this->delivery);

        if ($row === null || $row->status === 'sent') {
            return;
        }

        $at = time();
        $code = null;
        $error = null;

        try {
            $code = Http::timeout(15)->withoutRedirecting()->withHeaders([
                'webhook-id' => $row->event_id,
                'webhook-timestamp' => (string) $at,
                'webhook-signature' => Webhooks::sign($row->event_id, $at, $row->body, $this->secret),
            ])->withBody($row->body, 'application/json')->post($row->url)->status();
        } catch (Throwable $exception) {
            $error = $exception->getMessage();
        }

        $sent = $code !== null && $code >= 200 && $code < 300;
        DB::table('webhook_attempts')->insert(['delivery_id' => $row->id, 'response_code' => $code, 'error' => $error, 'at' => now()]);
        DB::table('webhook_deliveries')->where('id', $row->id)->update(['status' => $sent ? 'sent' : ($this->attempts() >= $this->tries || $code === 410 ? 'failed' : 'pending'), 'attempts' => $this->attempts()]);

        if (! $sent && $code !== 410 && $this->attempts() < $this->tries) {
            $this->release(config('integration.webhooks.retries')[$this->attempts() - 1] + random_int(0, 5));
        }
    }
}
