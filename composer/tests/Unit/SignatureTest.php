<?php

declare(strict_types=1);

namespace Trastienda\Laravel\Tests\Unit;

use PHPUnit\Framework\Attributes\DataProvider;
use PHPUnit\Framework\TestCase;
use Trastienda\Exception\InvalidSignature;
use Trastienda\Laravel\Exceptions\InvalidConfig;
use Trastienda\Laravel\Webhooks\Signature;

final class SignatureTest extends TestCase
{
    /** The vectors that the Rust programs are checked against too; not in the split package. */
    private const VECTORS = __DIR__.'/../../../tests/vectors/webhook_signatures.json';

    private const REASONS = [
        'no_match' => 'No signature matches.',
        'too_old' => 'webhook-timestamp is too old.',
        'too_new' => 'webhook-timestamp is in the future.',
        'bad_timestamp' => 'webhook-timestamp is not a number of seconds.',
        'missing_header' => 'A webhook needs webhook-id, webhook-timestamp and webhook-signature.',
    ];

    /**
     * @return iterable<string, array{array<string, mixed>|null}>
     */
    public static function vectors(): iterable
    {
        if (! is_file(self::VECTORS)) {
            yield 'absent' => [null];

            return;
        }

        foreach (json_decode((string) file_get_contents(self::VECTORS), true, 512, JSON_THROW_ON_ERROR)['cases'] as $case) {
            yield $case['name'] => [$case];
        }
    }

    /**
     * @dataProvider vectors
     *
     * @param  array<string, mixed>|null  $case
     */
    #[DataProvider('vectors')]
    public function test_the_shared_vectors(?array $case): void
    {
        if ($case === null) {
            self::markTestSkipped('The shared vectors are only in the main repository.');
        }

        $signature = Signature::withSecrets($case['secrets'], $case['tolerance_seconds']);

        try {
            $signature->verify($case['id'], $case['timestamp'], $case['signature'], $case['payload'], $case['now']);
            self::assertTrue($case['valid'], $case['why']);
        } catch (InvalidSignature $exception) {
            self::assertFalse($case['valid'], $case['why']);
            self::assertSame(self::REASONS[$case['reason']], $exception->getMessage());
        }
    }

    public function test_a_secret_that_is_not_base64_is_a_configuration_error(): void
    {
        $this->expectException(InvalidConfig::class);
        Signature::withSecrets('whsec_not base64!');
    }

    public function test_no_secret_is_a_configuration_error(): void
    {
        $this->expectException(InvalidConfig::class);
        Signature::withSecrets(' , ');
    }
}
