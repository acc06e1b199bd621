<?php

declare(strict_types=1);

use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Schema;

return new class extends Migration
{
    public function up(): void
    {
        Schema::create('orders', function (Blueprint $table): void {
            $table->string('id')->primary();
            $table->string('product');
            $table->string('name');
            $table->string('email');
            $table->string('phone')->nullable();
            $table->string('total');
            $table->string('currency');
            $table->string('status')->default('pending');
            $table->string('event_id')->nullable();
            $table->string('notification_id')->nullable();
            $table->string('payment_id')->nullable();
            $table->string('created_at');
        });

        Schema::create('received', function (Blueprint $table): void {
            $table->id();
            $table->string('webhook_id');
            $table->string('type');
            $table->string('project')->nullable();
            $table->string('order_id')->nullable();
            $table->text('data');
            $table->string('received_at');
        });
    }

    public function down(): void
    {
        Schema::dropIfExists('received');
        Schema::dropIfExists('orders');
    }
};
