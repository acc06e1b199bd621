<?php

declare(strict_types=1);

/*
 * Times calls of one kind from inside a shop and prints their microseconds as JSON:
 *
 *   php calls.php SHOP_DIRECTORY COUNT native|hot|trastienda|guzzle|queue|pgqueue|sqlite|shared [PAUSE [START [PORT]]]
 *
 * Each call is about an order of its own, numbered through as a shop numbers them; `hot` is `native` with one order for all. `native` is the extension's
 * trastienda_event(); `trastienda` is Trastienda::event() over the configured transport;
 * `guzzle` posts to the hub; `shared` is a bare commit into one file that all such processes share. PAUSE is what lies
 * between two calls, in microseconds; START is when to begin, in seconds since 1970; whoever is done then waits for
 * the others, whose time its ending would take. `queue` pushes a job to Laravel's own database
 * queue on SQLite, in the mode in which it survives a power cut; `pgqueue` is the same on the PostgreSQL that listens on PORT; `sqlite` is the bare commit of the same bytes there.
 */

use Illuminate\Contracts\Console\Kernel;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Queue;
use Illuminate\Support\Facades\Schema;
use Trastienda\Laravel\Facades\Trastienda;

[, $shop, $count, $kind, $pause, $start, $port] = $argv + [4 => 0, 5 => 0, 6 => 0];
chdir($shop);
$app = require "$shop/bootstrap/app.php";
$app->make(Kernel::class)->bootstrap();

$data = ['order_id' => 'A-1', 'total' => '1500.00', 'note' => str_repeat('x', 900)];

if ($kind === 'queue' || $kind === 'sqlite') {
    DB::statement('pragma journal_mode = wal');
    DB::statement('pragma synchronous = full');
}

if ($kind === 'queue' || $kind === 'pgqueue') {
    $database = $kind === 'queue' ? null : 'bench_pgsql';
    config(['database.connections.bench_pgsql' => [
        'driver' => 'pgsql', 'host' => '127.0.0.1', 'port' => (int) $port, 'database' => 'postgres', 'username' => 'postgres',
        'password' => '', 'charset' => 'utf8', 'prefix' => '', 'schema' => 'public', 'search_path' => 'public', 'sslmode' => 'disable',
    ]]);
    config(['queue.connections.bench' => ['driver' => 'database', 'connection' => $database, 'table' => 'bench_jobs', 'queue' => 'default', 'retry_after' => 90]]);
    $schema = Schema::connection($database);
    $schema->dropIfExists('bench_jobs');
    $schema->create('bench_jobs', static function ($table): void {
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

if ($kind === 'native' || $kind === 'hot') {
    ini_set('trastienda.socket', (string) getenv('TRASTIENDA_SOCKET'));
    ini_set('trastienda.timeout_ms', '5000'); // a slow call is to be counted, not to end the run
}

if ($kind === 'shared') {
    $shared = new PDO('sqlite:'.getenv('SHOP_STORAGE').'/bench-shared.sqlite');
    $shared->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
    foreach (['busy_timeout = 60000', 'journal_mode = wal', 'synchronous = full'] as $pragma) {
        $shared->exec("pragma $pragma");
    }
    $shared->exec('create table if not exists bench_rows (id integer primary key, body text)');
    $insert = $shared->prepare('insert into bench_rows (body) values (?)');
}

if ($kind === 'guzzle') {
    $guzzle = new GuzzleHttp\Client(['base_uri' => getenv('TRASTIENDA_URL'), 'headers' => ['X-API-KEY' => getenv('TRASTIENDA_API_KEY')]]);
}

$call = match ($kind) {
    'native' => static function () use (&$data): void {
        // The same for all processes, and ascending.
        $data['order_id'] = 'A-'.hrtime(true);
        trastienda_event('bench.called', $data);
    },
    'hot' => static fn () => trastienda_event('bench.called', $data),
    'guzzle' => static fn () => $guzzle->post('/v1/events', ['json' => ['type' => 'bench.called', 'data' => $data]]),
    'trastienda' => static fn () => Trastienda::event('bench.called', $data),
    'queue', 'pgqueue' => static fn () => Queue::connection('bench')->pushRaw((string) json_encode(['job' => 'Send', 'data' => $data])),
    'sqlite', 'shared' => static fn () => $insert->execute([json_encode($data)]),
};

$call(); // connects

$all = fopen(getenv('SHOP_STORAGE').'/bench-together', 'c');
flock($all, LOCK_SH);
while (microtime(true) < (float) $start) {
    usleep(200);
}

$times = [];
for ($i = 0; $i < (int) $count; $i++) {
    $since = hrtime(true);
    $call();
    $times[] = (hrtime(true) - $since) / 1000;
    if ($pause > 0) {
        usleep((int) $pause);
    }
}

if ($start > 0) {
    flock($all, LOCK_EX); // when nobody else shares it any more
}
echo json_encode($times), "\n";
