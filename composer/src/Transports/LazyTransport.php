<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Transports;

use Trastienda\Laravel\Contracts\AnswersFeatures;
use Trastienda\Laravel\Contracts\Transport;
use Trastienda\Laravel\Wire\Call;
use Trastienda\Laravel\Wire\Reply;

/**
 * Chooses a transport at the first call, so that a wrong setting breaks that call and not
 * the page that happens to mention the facade.
 */
final class LazyTransport implements AnswersFeatures, Transport
{
    private ?Transport $chosen = null;

    public function __construct(private readonly TransportChooser $chooser)
    {
    }

    public function send(Call $call): Reply
    {
        return $this->chosen()->send($call);
    }

    public function feature(string $flag, bool $default): ?bool
    {
        $chosen = $this->chosen();

        return $chosen instanceof AnswersFeatures ? $chosen->feature($flag, $default) : null;
    }

    public function name(): string
    {
        return $this->chosen()->name();
    }

    private function chosen(): Transport
    {
        return $this->chosen ??= $this->chooser->choose();
    }
}
