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
            // The unique key is what makes a duplicate a duplicate: two copies that arrive
            // at once meet here, and the second waits for the first to commit.
            $table->string('webhook_id', 191)->primary();
            $table->string('type', 128);
            $table->timestamp('received_at')->index();
        });
    }

    public function down(): void
    {
        Schema::connection($this->connectionName())->dropIfExists($this->table());
    }

    private function table(): string
    {
        return (string) config('trastienda.webhooks.table', 'trastienda_webhooks');
    }

    private function connectionName(): ?string
    {
        return config('trastienda.webhooks.connection');
    }
};
