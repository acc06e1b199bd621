<?php

declare(strict_types=1);

namespace Trastienda\Exception;

/**
 * The call itself is wrong; repeating it unchanged will not help.
 */
final class InvalidRequest extends TrastiendaException
{
    /** @var list<array{pointer: string, message: string}>|null */
    protected $errors;

    /**
     * Everything that validation found, all at once.
     *
     * @return list<array{pointer: string, message: string}>
     */
    public function errors(): array
    {
        return $this->errors ?? [];
    }
}
