//! Lists: newest first, by cursor. The cursor is the place of the last row, so rows that come meanwhile
//! neither repeat nor hide any.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use trastienda_protocol::problem::FieldError;
use uuid::Uuid;

use super::{Error, Result};

const LIMIT_DEFAULT: i64 = 50;
const LIMIT_MAX: i64 = 200;

/// Where a page ends: the last row's time and id.
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    /// `created_at` of the row.
    pub created_at: DateTime<Utc>,
    /// Its id.
    pub id: Uuid,
}

impl Cursor {
    /// Before every row: where a list starts.
    pub fn newest() -> Self {
        // Far ahead, and still within what PostgreSQL can hold.
        Self { created_at: DateTime::from_timestamp(253_402_300_799, 0).unwrap_or_default(), id: Uuid::max() }
    }

    fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}.{}", self.created_at.timestamp_micros(), self.id.as_simple()))
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (micros, id) = std::str::from_utf8(&bytes).ok()?.split_once('.')?;
        Some(Self {
            created_at: DateTime::from_timestamp_micros(micros.parse().ok()?)?,
            id: Uuid::try_parse(id).ok()?,
        })
    }
}

/// The query of a list: `limit`, `cursor`, the common filters and those of the list itself.
#[derive(Debug)]
pub struct ListQuery {
    /// Rows wanted.
    pub limit: i64,
    /// Where to go on.
    pub after: Cursor,
    /// `created_after`.
    pub created_after: Option<DateTime<Utc>>,
    /// `created_before`.
    pub created_before: Option<DateTime<Utc>>,
    filters: HashMap<String, String>,
}

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Query(mut filters) = Query::<HashMap<String, String>>::from_request_parts(parts, state)
            .await
            .map_err(|error| Error::field("", format!("the query could not be read: {error}")))?;
        // PostgreSQL's text holds none, so nothing is found by it either.
        let nul = filters.iter().filter(|(_, value)| value.contains('\0'));
        let mut errors: Vec<_> = nul
            .map(|(name, _)| FieldError::new(format!("?{name}"), "must not contain the NUL character"))
            .collect();
        let limit = match filters.remove("limit").map(|text| text.parse::<i64>()) {
            None => LIMIT_DEFAULT,
            Some(Ok(limit)) if (1..=LIMIT_MAX).contains(&limit) => limit,
            Some(_) => {
                errors
                    .push(FieldError::new("?limit", format!("must be a whole number from 1 to {LIMIT_MAX}")));
                LIMIT_DEFAULT
            }
        };
        let after = match filters.remove("cursor").map(|text| Cursor::decode(&text)) {
            None => Cursor::newest(),
            Some(Some(cursor)) => cursor,
            Some(None) => {
                errors.push(FieldError::new("?cursor", "must be a `next_cursor` as a list gave it"));
                Cursor::newest()
            }
        };
        let mut time = |name: &str| {
            let text = filters.remove(name)?;
            trastienda_protocol::time::parse(&text)
                .map_err(|message| errors.push(FieldError::new(format!("?{name}"), message)))
                .ok()
        };
        let created_after = time("created_after");
        let created_before = time("created_before");
        if errors.is_empty() {
            Ok(Self { limit, after, created_after, created_before, filters })
        } else {
            Err(Error::Invalid(errors))
        }
    }
}

impl ListQuery {
    /// A query without filters, for what is not asked over HTTP.
    pub fn starting_at(after: Cursor, limit: i64) -> Self {
        Self { limit, after, created_after: None, created_before: None, filters: HashMap::new() }
    }

    /// Takes the list's own filters, in this order; any other parameter is refused.
    pub fn filters<const N: usize>(&mut self, names: [&'static str; N]) -> Result<[Option<String>; N]> {
        let taken = names.map(|name| self.filters.remove(name).filter(|value| !value.is_empty()));
        let mut unknown: Vec<_> = self.filters.keys().collect();
        unknown.sort();
        if unknown.is_empty() {
            return Ok(taken);
        }
        let known = names.join("`, `");
        let message = format!(
            "is not a known filter; known here: `limit`, `cursor`, `created_after`, `created_before`, `{known}`"
        );
        Err(Error::Invalid(
            unknown.into_iter().map(|name| FieldError::new(format!("?{name}"), message.clone())).collect(),
        ))
    }
}

/// One page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The rows, newest first.
    pub data: Vec<T>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of `rows`, fetched with one more than `limit` to know whether there is a next one.
    pub fn of<R>(
        mut rows: Vec<R>,
        query: &ListQuery,
        place: impl Fn(&R) -> Cursor,
        convert: impl Fn(R) -> T,
    ) -> Self {
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(|row| place(row).encode()) } else { None };
        Self { data: rows.into_iter().map(convert).collect(), next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        let cursor = Cursor {
            created_at: DateTime::from_timestamp_micros(1_795_000_000_123_456).unwrap(),
            id: Uuid::max(),
        };
        let read = Cursor::decode(&cursor.encode()).unwrap();
        assert_eq!((read.created_at, read.id), (cursor.created_at, cursor.id));
        assert!(Cursor::decode("x").is_none());
    }
}
