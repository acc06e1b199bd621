//! What was told, with the time that each step took.

use std::time::Instant;

use crate::say;

/// Steps that were told, for the table at the end.
#[derive(Default)]
pub(crate) struct Told {
    rows: Vec<(String, String, u128)>,
    since: Option<Instant>,
}

impl Told {
    /// Says what is about to happen.
    pub(crate) fn begin(&mut self, text: &str) {
        say(&format!("\n• {text}"));
        self.since = Some(Instant::now());
    }

    /// Says that it did, and where it went.
    pub(crate) fn done(&mut self, what: &str, went: &str) {
        let took = self.since.take().map_or(0, |since| since.elapsed().as_millis());
        say(&format!("  ✓ {went} ({took} ms)"));
        self.rows.push((what.to_owned(), went.to_owned(), took));
    }

    /// What went where, and how long it took.
    pub(crate) fn table(&self) {
        let width = self.rows.iter().map(|(what, ..)| what.chars().count()).max().unwrap_or(0);
        say("\nQué fue a dónde / What went where");
        for (what, went, took) in &self.rows {
            let padding = " ".repeat(width - what.chars().count());
            say(&format!("  {what}{padding}  {took:>6} ms  {went}"));
        }
        let whole: u128 = self.rows.iter().map(|(_, _, took)| took).sum();
        say(&format!("  {:width$}  {whole:>6} ms", "total"));
    }
}
