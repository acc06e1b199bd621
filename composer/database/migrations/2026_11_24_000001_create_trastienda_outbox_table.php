<?php

declare(strict_types=1);

use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Schema;

return new class extends Migration
{
    public function up(): void
    {
        Schema::connection($this->connectionName())->create($this->table(), function (Blueprint $table): void {
            $table->bigIncrements('position');
            $table->string('call_id', 64)->index();
            // The whole call: a mail's attachments may be several megabytes.
            $table->longText('call');
            $table->unsignedInteger('attempts')->default(0);
            $table->string('error', 500)->nullable();
            $table->dateTime('available_at')->index();
            $table->dateTime('failed_at')->nullable();
            $table->dateTime('created_at');
        });
    }

    public function down(): void
    {
        Schema::connection($this->connectionName())->dropIfExists($this->table());
    }

    private function table(): string
    {
        return (string) config('trastienda.outbox.table', 'trastienda_outbox');
    }

    private function connectionName(): ?string
    {
        return config('trastienda.outbox.connection');
    }
};
