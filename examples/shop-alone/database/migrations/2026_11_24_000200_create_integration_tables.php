<?php

declare(strict_types=1);

use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Schema;

return new class extends Migration
{
    public function up(): void
    {
        Schema::create('payments', function (Blueprint $table): void {
            $table->string('id')->primary();
            $table->string('order_id')->index();
            $table->string('idempotency_key')->unique();
            $table->string('amount');
            $table->string('status');
            $table->string('detail')->nullable();
            $table->string('preference_id')->nullable();
            $table->string('external_id')->nullable();
            $table->string('checkout_url')->nullable();
            $table->timestamp('created_at');
            $table->timestamp('asked_at')->index();
        });
        Schema::create('payment_notices', function (Blueprint $table): void {
            $table->id();
            $table->string('provider_id')->index();
            $table->string('request_id');
            $table->timestamp('received_at');
        });
        Schema::create('webhook_deliveries', function (Blueprint $table): void {
            $table->id();
            $table->string('event_id')->index();
            $table->string('type');
            $table->string('url');
            $table->text('body');
            $table->string('status');
            $table->unsignedInteger('attempts');
            $table->timestamp('created_at');
        });
        Schema::create('webhook_attempts', function (Blueprint $table): void {
            $table->id();
            $table->unsignedBigInteger('delivery_id')->index();
            $table->unsignedInteger('response_code')->nullable();
            $table->text('error')->nullable();
            $table->timestamp('at');
        });
        Schema::create('jobs', function (Blueprint $table): void {
            $table->bigIncrements('id');
            $table->string('queue')->index();
            $table->longText('payload');
            $table->unsignedTinyInteger('attempts');
            $table->unsignedInteger('reserved_at')->nullable();
            $table->unsignedInteger('available_at');
            $table->unsignedInteger('created_at');
        });
        Schema::create('failed_jobs', function (Blueprint $table): void {
            $table->id();
            $table->string('uuid')->unique();
            $table->text('connection');
            $table->text('queue');
            $table->longText('payload');
            $table->longText('exception');
            $table->timestamp('failed_at')->useCurrent();
        });
        Schema::table('received', fn (Blueprint $table) => $table->unique('webhook_id'));
    }
};
