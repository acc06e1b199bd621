<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Wire;

use ReflectionObject;
use Throwable;
use Trastienda\Exception\AgentUnavailable;
use Trastienda\Exception\BufferFull;
use Trastienda\Exception\HubUnavailable;
use Trastienda\Exception\InvalidRequest;
use Trastienda\Exception\OutcomeUnknown;
use Trastienda\Exception\RateLimited;
use Trastienda\Exception\TrastiendaException;
use Trastienda\Exception\Unauthorized;

/**
 * Names every failure: the one place that makes the exceptions of `Trastienda\Exception`.
 *
 * The native extension brings those classes without PHP constructors of their own, so
 * what they carry is put in by name, here and only here.
 */
final class Failure
{
    public static function agentUnavailable(string $reason, ?Throwable $previous = null): AgentUnavailable
    {
        return new AgentUnavailable("The Trastienda agent did not take the call: $reason", 0, $previous);
    }

    public static function hubUnavailable(string $reason, ?Throwable $previous = null): HubUnavailable
    {
        return new HubUnavailable("The Trastienda hub is not available: $reason", 0, $previous);
    }

    public static function outcomeUnknown(?string $id, string $reason, int $status = 0, ?Throwable $previous = null): OutcomeUnknown
    {
        $what = $id ?? 'the call';
        $exception = new OutcomeUnknown("No answer came for $what, which may have taken effect: $reason", $status, $previous);

        return self::carrying($exception, ['id' => $id]);
    }

    public static function disabled(): HubUnavailable
    {
        return new HubUnavailable('Trastienda is disabled in this application (TRASTIENDA_ENABLED or the null transport).');
    }

    /**
     * @param  list<array{pointer: string, message: string}>  $errors
     */
    public static function invalidRequest(string $message, array $errors = []): InvalidRequest
    {
        return self::carrying(new InvalidRequest($message), ['errors' => $errors]);
    }

    /**
     * The exception that an answer outside 2xx stands for.
     */
    public static function fromReply(Reply $reply, Call $call): TrastiendaException
    {
        $status = $reply->status;
        $message = $reply->text('detail') ?? $reply->text('title') ?? "HTTP status $status";

        $exception = match (true) {
            $status === 401, $status === 403 => new Unauthorized($message, $status),
            $status === 429 => self::carrying(new RateLimited($message, $status), ['retryAfter' => self::retryAfter($reply)]),
            $status === 507 => new BufferFull($message, $status),
            // A payment that met a broken answer may still have reached the provider. 503 is
            // the exception: whoever says it did not pass the call on.
            $status >= 500 && $status !== 503 && $call->isPayment() => self::outcomeUnknown($call->id(), $message, $status),
            $status >= 400 && $status < 500 => self::carrying(new InvalidRequest($message, $status), ['errors' => self::errors($reply)]),
            default => new HubUnavailable($message, $status),
        };

        return self::carrying($exception, [
            'problemCode' => $reply->text('code'),
            'requestId' => $reply->text('request_id') ?? $reply->headers['x-request-id'] ?? null,
        ]);
    }

    /**
     * @return list<array{pointer: string, message: string}>
     */
    private static function errors(Reply $reply): array
    {
        $errors = [];

        foreach ((array) ($reply->body['errors'] ?? []) as $error) {
            if (is_array($error) && is_string($error['pointer'] ?? null) && is_string($error['message'] ?? null)) {
                $errors[] = ['pointer' => $error['pointer'], 'message' => $error['message']];
            }
        }

        return $errors;
    }

    private static function retryAfter(Reply $reply): ?int
    {
        $header = $reply->headers['retry-after'] ?? '';

        if (ctype_digit($header)) {
            return (int) $header;
        }

        // The header's other form is a date.
        $time = $header === '' ? false : strtotime($header);

        return $time === false ? null : max(0, $time - time());
    }

    /**
     * @template T of TrastiendaException
     *
     * @param  T  $exception
     * @param  array<string, mixed>  $values
     * @return T
     */
    private static function carrying(TrastiendaException $exception, array $values): TrastiendaException
    {
        $object = new ReflectionObject($exception);

        foreach ($values as $property => $value) {
            if ($object->hasProperty($property)) {
                $object->getProperty($property)->setValue($exception, $value);
            }
        }

        return $exception;
    }
}
