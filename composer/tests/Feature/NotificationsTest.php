<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Feature;

use Trastienda\Laravel\Facades\Trastienda;
use Trastienda\Laravel\Tests\TestCase;

final class NotificationsTest extends TestCase
{
    private const MAIL = ['channel' => 'email', 'to' => 'ana@example.com', 'template' => 'order_confirmation', 'data' => ['order_id' => 'A-1']];

    public function test_a_mail_is_taken_by_the_agent_with_an_id_made_here(): void
    {
        $agent = $this->agent(['status' => 202, 'body' => ['id' => '{id}', 'channel' => 'email', 'status' => 'pending']]);

        $answer = Trastienda::notify(self::MAIL, ['idempotency_key' => 'mail-A-1']);

        $request = $agent->onlyRequest();
        self::assertMatchesRegularExpression('/^ntf_[0-9a-f]{32}$/', $answer['id']);
        self::assertSame('pending', $answer['status']);
        self::assertSame('mail-A-1', $request['headers']['idempotency-key']);
        self::assertSame(['id' => $answer['id']] + self::MAIL, json_decode($request['body'], true));
        self::assertArrayNotHasKey('prefer', $request['headers']);
    }

    public function test_a_whatsapp_that_waits_brings_its_link(): void
    {
        $agent = $this->agent(['status' => 202, 'body' => ['id' => '{id}', 'whatsapp' => ['link' => 'https://wa.me/549111', 'open_url' => 'https://hub/w/x']]]);

        $answer = Trastienda::notify(['channel' => 'whatsapp', 'to' => '+541112345678', 'text' => 'Hola'], ['wait' => 5]);

        self::assertSame('https://wa.me/549111', $answer['whatsapp']['link']);
        self::assertSame('wait=5', $agent->onlyRequest()['headers']['prefer']);
    }

    public function test_waiting_is_a_preference_and_the_agent_keeps_it_when_the_hub_is_away(): void
    {
        $agent = $this->agent(
            ['status' => 503, 'body' => ['code' => 'hub_unreachable', 'detail' => 'no route']],
            ['status' => 202, 'body' => ['id' => '{id}', 'status' => 'pending']],
        );

        $answer = Trastienda::notify(['channel' => 'whatsapp', 'to' => '+541112345678', 'text' => 'Hola'], ['wait' => 5]);

        [$first, $second] = $agent->requests();
        self::assertSame($first['body'], $second['body']);
        self::assertArrayNotHasKey('prefer', $second['headers']);
        self::assertSame(json_decode($first['body'], true)['id'], $answer['id']);
        self::assertArrayNotHasKey('whatsapp', $answer);
    }

    public function test_disabled_says_so_and_never_pending(): void
    {
        $this->configure(['transport' => 'null']);

        self::assertSame('disabled', Trastienda::notify(self::MAIL)['status']);
    }
}
