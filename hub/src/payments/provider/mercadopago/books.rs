//! The seller's books: every payment that changed within a time, to compare with ours.

use chrono::{DateTime, Utc};

use super::client::{self, Call};
use super::{PAGE, map, wire};
use crate::payments::provider::{Access, Exchange, Snapshot};

/// Payments that are read of one time; of more, a shorter time is asked for.
const WINDOW_MAX: usize = 1_000;
/// How often a time is read again because something moved out of it while its pages were read.
const READS_MAX: usize = 3;

/// Every payment that changed within a time.
pub(super) async fn list_changed(
    access: &Access,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Exchange<Option<Vec<Snapshot>>> {
    let (begin, end) = (map::written(from), map::written(to));
    let mut snapshots: Vec<Snapshot> = Vec::new();
    let (mut offset, mut total, mut reads) = (0, None, 1);
    loop {
        let exchange = page(access, &begin, &end, offset).await;
        let Exchange { result, request_id, duration } = exchange;
        let (found, of) = match result {
            Ok(read) => read,
            Err(error) => return Exchange { result: Err(error), request_id, duration },
        };
        if of > WINDOW_MAX {
            return Exchange { result: Ok(None), request_id, duration };
        }
        if *total.get_or_insert(of) != of && reads < READS_MAX {
            // What changed meanwhile has left the window, and all after it moved up by one.
            (offset, total, reads) = (0, None, reads + 1);
            snapshots.clear();
            continue;
        }
        let is_last = found.is_empty();
        snapshots.extend(found);
        offset += PAGE;
        if is_last || offset >= of {
            snapshots.sort_by_key(|snapshot| snapshot.updated_at);
            return Exchange { result: Ok(Some(snapshots)), request_id, duration };
        }
    }
}

async fn page(access: &Access, begin: &str, end: &str, offset: usize) -> Exchange<(Vec<Snapshot>, usize)> {
    let (limit, offset) = (PAGE.to_string(), offset.to_string());
    let query = [
        ("sort", "date_created"),
        ("criteria", "asc"),
        ("range", "date_last_updated"),
        ("begin_date", begin),
        ("end_date", end),
        ("limit", &limit),
        ("offset", &offset),
    ];
    let reply = client::send(access, Call::get("/v1/payments/search".to_owned(), &query)).await;
    reply.and_then(|body| {
        let found: wire::PaymentSearch = client::read(&body)?;
        let total = found.paging.and_then(|paging| paging.total).unwrap_or(found.results.len());
        // One without any date is not a payment that anybody made.
        Ok((found.results.into_iter().filter_map(|payment| map::snapshot(payment).ok()).collect(), total))
    })
}
