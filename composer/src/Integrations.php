<?php

declare(strict_types=1);

namespace Trastienda\Laravel;

use Closure;
use Illuminate\Console\Scheduling\Schedule;
use Illuminate\Contracts\Container\Container;
use Illuminate\Contracts\Foundation\Application;
use Illuminate\Foundation\Console\AboutCommand;
use Illuminate\Mail\MailManager;
use Illuminate\Notifications\ChannelManager;
use Illuminate\Queue\Events\JobExceptionOccurred;
use Illuminate\Queue\Events\JobProcessed;
use Illuminate\Queue\Events\JobProcessing;
use Laravel\Pennant\FeatureManager;
use Throwable;
use Trastienda\Laravel\Contracts\ShouldReachTrastienda;
use Trastienda\Laravel\Events\TellTrastienda;
use Trastienda\Laravel\Exceptions\InvalidConfig;
use Trastienda\Laravel\Features\Features;
use Trastienda\Laravel\Features\PennantDriver;
use Trastienda\Laravel\Mail\TrastiendaTransport;
use Trastienda\Laravel\Notifications\TrastiendaChannel;
use Trastienda\Laravel\Outgoing\Outgoing;
use Trastienda\Laravel\Queue\JobKeys;

/**
 * Hooks into those parts of Laravel that are there, each when it is first used.
 *
 * No hook of these breaks a shop's request: what is not there is left out, and what goes
 * wrong inside one is reported by whoever it belongs to.
 */
final class Integrations
{
    public function __construct(private readonly Application $app)
    {
    }

    public function register(): void
    {
        $config = $this->app->make('config');

        foreach (['mail.mailers.trastienda' => ['transport' => 'trastienda'], 'pennant.stores.trastienda' => ['driver' => 'trastienda']] as $name => $value) {
            if (! $config->has($name)) {
                $config->set($name, $value);
            }
        }
    }

    public function boot(): void
    {
        $events = $this->app->make('events');
        $events->listen(ShouldReachTrastienda::class, [TellTrastienda::class, 'handle']);

        // Looked up each time: a worker's container may be another one by then.
        $events->listen(JobProcessing::class, fn (JobProcessing $event) => $this->app->make(JobKeys::class)->begin($event->job->uuid()));
        $events->listen(JobProcessed::class, fn (JobProcessed $event) => $this->app->make(JobKeys::class)->end($event->job->uuid()));
        $events->listen(JobExceptionOccurred::class, fn (JobExceptionOccurred $event) => $this->app->make(JobKeys::class)->end($event->job->uuid()));

        $this->whenUsed('mail.manager', fn (MailManager $mail) => $mail->extend('trastienda', self::mailer()));
        $this->whenUsed(ChannelManager::class, fn (ChannelManager $channels) => $channels->extend('trastienda', self::channel()));
        $this->whenUsed('Laravel\Pennant\FeatureManager', fn (FeatureManager $features) => $features->extend('trastienda', self::pennant()));
        $this->whenUsed(Schedule::class, fn (Schedule $schedule) => $this->schedule($schedule));

        if (class_exists(AboutCommand::class)) {
            AboutCommand::add('Trastienda', fn (): array => $this->about());
        }
    }

    /**
     * Managers make a closure their own, `self` and `$this` included: these need neither.
     */
    private static function mailer(): Closure
    {
        return function (): TrastiendaTransport {
            // Laravel 8 mails by Swift.
            if (! method_exists(MailManager::class, 'createSymfonyTransport')) {
                throw InvalidConfig::mailNeedsSymfony();
            }

            return new TrastiendaTransport(app(Outgoing::class));
        };
    }

    private static function channel(): Closure
    {
        return fn (Container $app): TrastiendaChannel => new TrastiendaChannel($app->make(Trastienda::class));
    }

    private static function pennant(): Closure
    {
        return fn (Container $app): PennantDriver => new PennantDriver($app->make(Features::class));
    }

    private function schedule(Schedule $schedule): void
    {
        if ($this->app->make(Settings::class)->outbox->enabled) {
            $schedule->command('trastienda:outbox')->everyMinute()->withoutOverlapping(5);
        }
    }

    /**
     * @return array<string, string>
     */
    private function about(): array
    {
        try {
            $status = new StatusReport($this->app->make(Diagnosis::class)->run());
        } catch (Throwable $exception) {
            return ['Problem' => $exception->getMessage()];
        }

        return About::lines($status);
    }

    private function whenUsed(string $abstract, Closure $callback): void
    {
        $this->app->afterResolving($abstract, $callback);

        if ($this->app->resolved($abstract)) {
            $callback($this->app->make($abstract));
        }
    }
}
