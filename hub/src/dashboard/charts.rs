//! A day in bars and lines, as numbers for the pages' SVG: 24 hours, the newest last.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::store::HourRow;

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 60.0;
const HOURS: i64 = 24;

/// The charts: two stacked series each, or two lines.
pub(super) fn of(rows: &[HourRow], now: DateTime<Utc>) -> Value {
    let series = |name: &str| {
        let mut hours = [0.0f64; 24];
        for row in rows.iter().filter(|row| row.series == name) {
            let back = usize::try_from((now - row.hour).num_hours().clamp(0, HOURS - 1)).unwrap_or(0);
            hours[23 - back] += row.value;
        }
        hours
    };
    json!([
        bars("events", &series("events"), &series("events_refused")),
        bars("deliveries", &series("deliveries_sent"), &series("deliveries_failed")),
        bars("mails", &series("mails_sent"), &series("mails_failed")),
        bars("payments", &series("payments_paid"), &series("payments_other")),
        lines("latency", &series("latency_p50"), &series("latency_p95")),
        json!({"hours": (0..4).map(|quarter| trastienda_protocol::time::format(now - TimeDelta::hours(24 - 6 * quarter))).collect::<Vec<_>>()}),
    ])
}

fn bars(name: &str, good: &[f64; 24], bad: &[f64; 24]) -> Value {
    let top = good.iter().zip(bad).map(|(good, bad)| good + bad).fold(1.0, f64::max);
    let step = WIDTH / 24.0;
    let mut x = 0.0;
    let mut drawn = Vec::new();
    for (good, bad) in good.iter().zip(bad) {
        let (good_high, bad_high) = (good / top * HEIGHT, bad / top * HEIGHT);
        drawn.push(json!({
            "x": round(x + 1.0), "w": round(step - 2.0),
            "good_y": round(HEIGHT - good_high), "good_h": round(good_high), "good": good,
            "bad_y": round(HEIGHT - good_high - bad_high), "bad_h": round(bad_high), "bad": bad,
        }));
        x += step;
    }
    json!({"name": name, "kind": "bars", "bars": drawn, "good": good.iter().sum::<f64>(), "bad": bad.iter().sum::<f64>()})
}

fn lines(name: &str, first: &[f64; 24], second: &[f64; 24]) -> Value {
    let top = first.iter().chain(second).copied().fold(1.0, f64::max);
    let points = |values: &[f64; 24]| {
        let step = WIDTH / 23.0;
        let mut x = 0.0;
        let mut points = Vec::new();
        for value in values {
            points.push(format!("{},{}", round(x), round(HEIGHT - value / top * HEIGHT)));
            x += step;
        }
        points.join(" ")
    };
    let last = |values: &[f64; 24]| values.iter().rev().copied().find(|value| *value > 0.0).unwrap_or(0.0);
    json!({"name": name, "kind": "lines", "first": points(first), "second": points(second), "good": last(first), "bad": last(second)})
}

fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_drawn_where_it_was() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let row = |hours, series: &str, value| HourRow {
            hour: now - TimeDelta::hours(hours),
            series: series.to_owned(),
            value,
        };
        let charts =
            of(&[row(0, "events", 4.0), row(23, "events", 2.0), row(23, "events_refused", 2.0)], now);
        let bars = charts[0]["bars"].as_array().unwrap();
        assert_eq!(
            (&bars[23]["good_h"], &bars[0]["good_h"], &bars[0]["bad_h"]),
            (&json!(60.0), &json!(30.0), &json!(30.0))
        );
        assert_eq!((&charts[0]["good"], &charts[0]["bad"]), (&json!(6.0), &json!(2.0)));
    }
}
