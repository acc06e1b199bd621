//! Saying what was measured.

/// Prints a line.
#[expect(clippy::print_stdout, reason = "a benchmark prints")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// A quantile of values, which are sorted for it.
pub(crate) fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "far fewer values than 2^52"
    )]
    let index = ((values.len().saturating_sub(1)) as f64 * part).round() as usize;
    values.get(index).copied().unwrap_or_default()
}

/// The median of the runs and their range, as `1,234 (1,200 to 1,300)`.
pub(crate) fn summary(runs: &mut [f64]) -> String {
    let median = quantile(runs, 0.5);
    let (least, most) = (quantile(runs, 0.0), quantile(runs, 1.0));
    format!("{:>9} ({} to {})", number(median), number(least), number(most))
}

fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
