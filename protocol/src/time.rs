//! Times on the wire: RFC 3339, in with any offset, out in UTC with milliseconds.

use chrono::{DateTime, SecondsFormat, Utc};

/// Reads an RFC 3339 time. The offset is required, since a time without one names no instant.
pub fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| "must be an RFC 3339 time with an offset, as `2026-01-31T15:04:05-03:00`".to_owned())
}

/// Writes a time in UTC with milliseconds, as `2026-01-31T18:04:05.000Z`.
pub fn format(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// For `#[serde(serialize_with = "time::serialize")]` on required times.
pub fn serialize<S: serde::Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*time))
}

/// For `#[serde(serialize_with = "time::serialize_option")]` on optional times.
pub fn serialize_option<S: serde::Serializer>(
    time: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_comes_out_in_utc_with_milliseconds() {
        let time = parse("2026-01-31T15:04:05-03:00").unwrap();
        assert_eq!(format(time), "2026-01-31T18:04:05.000Z");
    }

    #[test]
    fn a_time_without_an_offset_is_refused() {
        assert!(parse("2026-01-31T15:04:05").unwrap_err().contains("offset"));
    }
}
