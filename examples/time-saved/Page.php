<?php

declare(strict_types=1);

namespace Trastienda\Examples\TimeSaved;

/**
 * `docs/time-saved.md`, from the counts and a run.
 */
final class Page
{
    public const FILE = __DIR__.'/../../docs/time-saved.md';

    /**
     * The part that follows from the code alone, which a test holds against the page.
     */
    public static function table(): string
    {
        $counts = Counts::all();
        $rows = [
            'files' => 'files that the integration touches',
            'lines' => 'lines of code and templates in them',
            'settings' => 'settings in `.env`',
            'secrets' => 'secrets among them',
            'processes' => 'processes to keep running, besides the web server',
            'tables' => 'tables in the shop\'s database',
        ];
        $table = "| | shop A, with | shop B, with | the same shop without |\n| --- | ---: | ---: | ---: |\n";

        foreach ($rows as $name => $title) {
            $table .= "| $title | {$counts['shop-a'][$name]} | {$counts['shop-b'][$name]} | {$counts['shop-alone'][$name]} |\n";
        }

        return $table;
    }

    public static function of(Scenario $scenario): string
    {
        $table = self::table();
        $steps = $changes = '';

        foreach ($scenario->steps as $what => $seconds) {
            $steps .= sprintf("| %s | %.1f s |\n", $what, $seconds);
        }

        $steps .= sprintf("| **from nothing to the first delivered event** | **%.1f s** |\n", array_sum($scenario->steps));

        foreach ($scenario->changes as $what => $came) {
            $changes .= "| $what | $came |\n";
        }

        return <<<MARKDOWN
            # Time saved

            Written by `examples/time-saved/run`; a test holds the first table to the code. *Escrito por un programa: cuenta lo que lleva
            integrar cada tienda, con Trastienda y sin ella, y cronometra la integración de la segunda.*

            ## What an integration takes

            Both sides do the same: tell others of an order with signed and retried webhooks, confirm it by mail, make a WhatsApp link, take a
            payment by Mercado Pago (verified notices, repeated presses, lost notices) and hear of webhooks once. `examples/shop-alone` is that shop without Trastienda;
            a test buys something in it. It does less than the hub all the same: no page for its operator, no templates that change without a deployment,
            no numbers other than Argentine, no refunds, no replay.

            $table
            How it is counted: `examples/time-saved/Counts.php`. A file that is there only for the integration counts whole, of any other the statements
            that name a part of it; comments and blank lines never. With Trastienda the process is the agent, one per shop and host; the hub is one
            for all shops. The next shop costs the left columns again, or the right one.

            ## The second shop, timed

            Real programs on one machine: hub with PostgreSQL, agent, PHP, an SMTP server, Mercado Pago's simulator. The time is a program's, not a person's:
            it is what the steps themselves take.

            | step | |
            | --- | ---: |
            $steps
            ## Three changes without a commit

            Made at the hub while the shop ran. No file of the shop changed, which the run checks.

            | change | what came of it |
            | --- | --- |
            $changes
            MARKDOWN;
    }
}
