<?php

declare(strict_types=1);

/*
 * Times calls of one kind from inside a shop and prints their microseconds as JSON:
 *
 *   php calls.php SHOP_DIRECTORY COUNT trastienda|queue|sqlite
 *
 * `trastienda` is Trastienda::event() over the configured transport; `queue` pushes a job to Laravel's own database
 * queue on SQLite, in the mode in which it survives a power cut; `sqlite` is the bare commit of the same bytes there.
 */

use Illuminate\Contracts\Console\Kernel;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Queue;
use Illuminate\Support\Facades\Schema;
use Trastienda\Laravel\Facades\Trastienda;

[, $shop, $count, $kind] = $argv;
chdir($shop);
$app = require "$shop/bootstrap/app.php";
$app->make(Kernel::class)->bootstrap();

$data = ['order_id' => 'A-1', 'total' => '1500.00', 'note' => str_repeat('x', 900)];

if ($kind !== 'trastienda') {
    DB::statement('pragma journal_mode = wal');
    DB::statement('pragma synchronous = full');
}

if ($kind === 'queue') {
    config(['queue.connections.bench' => ['driver' => 'database', 'table' => 'bench_jobs', 'queue' => 'default', 'retry_after' => 90]]);
    Schema::dropIfExists('bench_jobs');
    Schema::create('bench_jobs', static function ($table): void {
        $table->bigIncrements('id');
        $table->string('queue')->index();
        $table->longText('payload');
        $table->unsignedTinyInteger('attempts');
        $table->unsignedInteger('reserved_at')->nullable();
        $table->unsignedInteger('available_at');
        $table->unsignedInteger('created_at');
    });
}

if ($kind === 'sqlite') {
    Schema::dropIfExists('bench_rows');
    Schema::create('bench_rows', static function ($table): void {
        $table->bigIncrements('id');
        $table->text('body');
    });
    $insert = DB::connection()->getPdo()->prepare('insert into bench_rows (body) values (?)');
}

$call = match ($kind) {
    'trastienda' => static fn () => Trastienda::event('bench.called', $data),
    'queue' => static fn () => Queue::connection('bench')->pushRaw((string) json_encode(['job' => 'Send', 'data' => $data])),
    'sqlite' => static fn () => $insert->execute([json_encode($data)]),
};

$call(); // connects

$times = [];
for ($i = 0; $i < (int) $count; $i++) {
    $since = hrtime(true);
    $call();
    $times[] = (hrtime(true) - $since) / 1000;
}

echo json_encode($times), "\n";
