//! What a shop was spared, read from what is on record: calls that an agent kept through an outage, deliveries and mails
//! that arrived after having failed, repeats that went nowhere, payments that the provider never told of.
//!
//! Nothing is counted where it happens, so that it costs nothing there. A day is counted when it is asked for, from the
//! rows themselves; once it is [`SETTLED`] it cannot change any more and is kept, also when its rows are gone.

mod store;

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, NaiveTime, TimeDelta, Utc};
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, ProjectId};
use trastienda_protocol::money::{Currency, Money};

use crate::app::App;
use crate::projects;

pub(crate) use store::{Day, Row};

/// After so long a day's deliveries have arrived or failed for good, and its payments are paid or over.
const SETTLED: TimeDelta = TimeDelta::days(8);
/// Rows behind a number that are shown.
const ROWS_MAX: i64 = 200;

/// What can be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saving {
    /// A call that an agent kept while the hub could not be reached.
    Kept,
    /// A delivery that arrived after having failed.
    Redelivered,
    /// A mail that arrived after having failed.
    Remailed,
    /// A second `order.paid` of an order.
    Duplicates,
    /// A payment that the provider never told of.
    Recovered,
}

impl Saving {
    /// Every one.
    pub(crate) const ALL: [Self; 5] =
        [Self::Kept, Self::Redelivered, Self::Remailed, Self::Duplicates, Self::Recovered];

    /// Its word in addresses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Redelivered => "redelivered",
            Self::Remailed => "remailed",
            Self::Duplicates => "duplicates",
            Self::Recovered => "recovered",
        }
    }
}

/// A month in numbers.
#[derive(Debug, Default)]
pub(crate) struct Month {
    /// All days together.
    pub(crate) total: Day,
    /// The money of recovered payments, by currency.
    pub(crate) sums: Vec<Money>,
}

/// The first day of a month, and of the next.
pub(crate) fn bounds(month: NaiveDate) -> (NaiveDate, NaiveDate) {
    let first = month.with_day(1).unwrap_or(month);
    (first, first.checked_add_months(Months::new(1)).unwrap_or(first))
}

/// A shop's month, up to now.
pub(crate) async fn month(
    conn: &mut PgConnection,
    project: ProjectId,
    month: NaiveDate,
    now: DateTime<Utc>,
) -> sqlx::Result<Month> {
    let (first, next) = bounds(month);
    let kept = store::list_days(conn, project.uuid(), first, next).await?;
    let mut total = Day::default();
    let mut day = first;
    while day < next && day <= now.date_naive() {
        let known = kept.iter().find(|known| known.date == Some(day));
        match known {
            Some(known) => total.add(known),
            None => total.add(&count(conn, project, day, now).await?),
        }
        day = day + Days::new(1);
    }
    let sums = money(&total.sums);
    Ok(Month { total, sums })
}

/// Counts a day, and keeps it if it cannot change any more.
async fn count(
    conn: &mut PgConnection,
    project: ProjectId,
    day: NaiveDate,
    now: DateTime<Utc>,
) -> sqlx::Result<Day> {
    let (from, until) = (midnight(day), midnight(day + Days::new(1)));
    let counted = store::count_day(conn, project.uuid(), (from, until)).await?;
    if now - until > SETTLED {
        store::keep_day(conn, project.uuid(), day, &counted).await?;
    }
    Ok(counted)
}

/// Keeps every shop's last settled day, while its rows are still there.
pub(crate) async fn keep(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let day = (now - SETTLED - TimeDelta::days(1)).date_naive();
    let mut conn = app.db.acquire().await?;
    for (project, _) in projects::list_retentions(&mut conn).await? {
        if store::list_days(&mut conn, project.uuid(), day, day + Days::new(1)).await?.is_empty() {
            count(&mut conn, project, day, now).await?;
        }
    }
    Ok(())
}

/// The rows behind a month's number, the newest first.
pub(crate) async fn list_rows(
    conn: &mut PgConnection,
    project: ProjectId,
    saving: Saving,
    month: NaiveDate,
) -> sqlx::Result<Vec<Row>> {
    let (first, next) = bounds(month);
    let range = (midnight(first), midnight(next));
    store::list_rows(conn, project.uuid(), saving, range, ROWS_MAX).await
}

/// How many of the hub's services a shop used in a month.
pub(crate) async fn list_services(
    conn: &mut PgConnection,
    project: ProjectId,
    month: NaiveDate,
) -> sqlx::Result<Vec<String>> {
    let (first, next) = bounds(month);
    store::list_services(conn, project.uuid(), first, next).await
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

fn money(sums: &BTreeMap<String, i64>) -> Vec<Money> {
    sums.iter()
        .filter_map(|(code, minor)| Some(Money { minor: *minor, currency: Currency::parse(code)? }))
        .collect()
}
