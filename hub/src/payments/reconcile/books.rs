//! The provider's side: every payment of the account that changed, taken in and compared with ours; and those that
//! are paid here, looked for there.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, PaymentId};
use trastienda_protocol::money::Money;

use super::{Comparing, LEASE, Report};
use crate::events;
use crate::payments::calls::Calls;
use crate::payments::cases::{self, Kind, NewCase};
use crate::payments::credentials::{self, Credentials};
use crate::payments::lanes::{self, Side};
use crate::payments::model::Payment;
use crate::payments::provider::{CallError, Exchange, Snapshot};
use crate::payments::status::{State, Status};
use crate::payments::work::{Desk, Jobs};
use crate::payments::{settle, store, waiters};
use crate::queue::worker::Queue as _;

/// How much time is read at once.
const WINDOW: TimeDelta = TimeDelta::days(1);
/// The shortest time that is read at once.
const WINDOW_MIN: TimeDelta = TimeDelta::seconds(2);
/// How often a call is repeated before the comparing is given up for now.
const TRIES: u32 = 5;

impl Comparing<'_> {
    /// Compares everything.
    pub(super) async fn run(&self, report: &mut Report) -> anyhow::Result<()> {
        let opened =
            credentials::open(self.app, &mut *self.app.db.acquire().await?, self.project, self.provider)
                .await?;
        let credentials = opened.context("the project has no credentials at the provider")?;
        let seen = self.read_books(&credentials, report).await?;
        self.look_for_paid(&credentials, &seen, report).await?;
        self.compare_orders(&credentials, report).await
    }

    /// Reads the provider's books window by window. Gives the numbers of its payments that are ours.
    async fn read_books(
        &self,
        credentials: &Credentials,
        report: &mut Report,
    ) -> anyhow::Result<HashSet<String>> {
        let mut seen = HashSet::new();
        let (mut from, mut width) = (self.from, WINDOW);
        while from < self.to {
            self.renew().await?;
            let to = (from + width).min(self.to);
            let found =
                self.ask("books", || self.provider.list_changed(&credentials.access, from, to)).await?;
            let Some(snapshots) = found else {
                width = (width / 2).max(WINDOW_MIN);
                anyhow::ensure!(to - from > WINDOW_MIN, "more payments changed at once than can be read");
                continue;
            };
            for snapshot in snapshots {
                if self.take_in(credentials, &snapshot, report).await? {
                    seen.insert(snapshot.external_id);
                }
            }
            (from, width) = (to, WINDOW.min(width * 2));
        }
        Ok(seen)
    }

    /// A call that is repeated for a while when it does not get through.
    async fn ask<'c, T>(
        &self,
        what: &'static str,
        call: impl Fn() -> BoxFuture<'c, Exchange<T>> + Send,
    ) -> anyhow::Result<T> {
        let mut tries = 0;
        loop {
            tries += 1;
            let name = self.provider.name();
            let pause = match lanes::enter(self.app, self.project, name, Side::Back, Jobs::<true>::NAME) {
                Ok(pass) => match Calls::on(pass).record(what, self.app.clock.now(), call().await) {
                    Ok(value) => return Ok(value),
                    Err(CallError::Busy { retry_after }) if tries < TRIES => {
                        retry_after.unwrap_or(Duration::from_secs(1 << tries)).min(Duration::from_mins(2))
                    }
                    Err(CallError::NotReached(_) | CallError::Unknown(_)) if tries < TRIES => {
                        Duration::from_millis(200 << tries)
                    }
                    Err(error) => bail!("{what}: {error}"),
                },
                Err(at) if tries < TRIES => lanes::until(at, self.app.clock.now()),
                Err(_) => bail!("{what}: the provider does not answer"),
            };
            self.renew().await?;
            tokio::time::sleep(pause).await;
        }
    }

    async fn renew(&self) -> anyhow::Result<()> {
        let Some(lease) = self.lease else { return Ok(()) };
        let kept = store::renew_books(&self.app.db, lease, self.app.clock.now() + LEASE).await?;
        anyhow::ensure!(kept, "another hub has taken over");
        Ok(())
    }

    /// Takes in one of the provider's payments; false if it is none of ours.
    async fn take_in(
        &self,
        credentials: &Credentials,
        snapshot: &Snapshot,
        report: &mut Report,
    ) -> anyhow::Result<bool> {
        let Some(id) = snapshot.reference.as_deref().and_then(|text| PaymentId::parse(text).ok()) else {
            report.ignored += 1;
            return Ok(false);
        };
        let mut conn = self.app.db.acquire().await?;
        let found = store::find_payment(&mut conn, self.project, id).await?;
        if found.is_none() {
            return self.wonder_about(&mut conn, id, snapshot, report).await;
        }
        drop(conn);
        report.checked += 1;
        self.compare(credentials, id, snapshot, report).await?;
        Ok(true)
    }

    /// Our own kind of reference, and not a payment of this project: lost here, or another project's on the same account.
    async fn wonder_about(
        &self,
        conn: &mut PgConnection,
        id: PaymentId,
        snapshot: &Snapshot,
        report: &mut Report,
    ) -> anyhow::Result<bool> {
        let is_taken =
            snapshot.state.is_some_and(State::is_captured) && snapshot.state != Some(State::Refunded);
        if !is_taken || store::is_payment_anywhere(conn, id).await? {
            report.ignored += 1;
            return Ok(false);
        }
        report.checked += 1;
        let case = NewCase {
            kind: Kind::PaidWithoutOrder,
            subject: snapshot.external_id.clone(),
            provider: self.provider.name().to_owned(),
            payment_id: Some(id),
            order_id: None,
            external_id: Some(snapshot.external_id.clone()),
            expected: None,
            actual: snapshot.amount,
            detail: format!("the provider took money for {id}, and no such payment is known here"),
        };
        let is_new = cases::raise(self.app, conn, self.project, &case).await?;
        report.raise(case.kind, is_new);
        Ok(true)
    }

    async fn compare(
        &self,
        credentials: &Credentials,
        id: PaymentId,
        snapshot: &Snapshot,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let app = self.app;
        let mut conn = app.db.acquire().await?;
        let payment = store::get_payment(&mut conn, self.project, id).await?;
        // A search may lag behind: before a refund is said to differ, the payment itself is read.
        let differs = self.refund_differs(&mut conn, &payment, snapshot).await?;
        drop(conn);
        let read = if differs { self.read(credentials, &snapshot.external_id).await? } else { None };
        let snapshot = read.as_ref().unwrap_or(snapshot);

        let mut tx = app.db.begin().await?;
        let locked = store::lock_payment(&mut tx, self.project, id, None).await?;
        let Some(mut payment) = locked else { return Ok(()) };
        if differs && let Some(case) = self.refund_case(&mut tx, &payment, snapshot).await? {
            let is_new = cases::raise(app, &mut tx, self.project, &case).await?;
            report.raise(case.kind, is_new);
        }
        let account = credentials.account_id.as_deref();
        let moved = settle::take_in(app, &mut tx, &mut payment, snapshot, account).await?;
        report.raise_many(Kind::AmountMismatch, moved.mismatches);
        report.raise_many(Kind::Duplicate, moved.duplicates);
        let speaks = payment.standing.external_id.as_deref() == Some(snapshot.external_id.as_str());
        let is_taken = snapshot.state.is_none_or(State::is_captured);
        if payment.standing.status == Status::Paid && speaks && !is_taken {
            let detail = "the payment is kept here as paid, and the provider holds no money for it";
            self.raise_unpaid(&mut tx, &payment, detail, report).await?;
        }
        tx.commit().await?;
        report.caught_up += u64::from(moved.changed);
        if moved.told {
            events::wake(app);
        }
        waiters::wake(id);
        Ok(())
    }

    async fn raise_unpaid(
        &self,
        conn: &mut PgConnection,
        payment: &Payment,
        detail: &str,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let case = NewCase {
            expected: Some(payment.amount),
            ..NewCase::about(payment, Kind::OrderWithoutPayment, payment.id.to_string(), detail)
        };
        let is_new = cases::raise(self.app, conn, self.project, &case).await?;
        report.raise(case.kind, is_new);
        Ok(())
    }

    /// Whether the provider gave back other sums than is known here.
    async fn refund_differs(
        &self,
        conn: &mut PgConnection,
        payment: &Payment,
        snapshot: &Snapshot,
    ) -> anyhow::Result<bool> {
        Ok(self.refund_case(conn, payment, snapshot).await?.is_some())
    }

    async fn refund_case(
        &self,
        conn: &mut PgConnection,
        payment: &Payment,
        snapshot: &Snapshot,
    ) -> anyhow::Result<Option<NewCase>> {
        // Money that a dispute took back is no refund, and an attempt beside the one that counts is another matter.
        let is_plain = matches!(snapshot.state, Some(State::Approved | State::InMediation | State::Refunded));
        let known = payment.standing.external_id.as_deref();
        if !is_plain
            || known.is_some_and(|known| known != snapshot.external_id)
            || snapshot.amount != Some(payment.amount)
        {
            return Ok(None);
        }
        let theirs = if snapshot.state == Some(State::Refunded) {
            payment.amount.minor
        } else {
            snapshot.refunded_minor
        };
        let refunds = store::list_refunds(conn, payment.project_id, payment.id).await?;
        let sum = |statuses: &[&str]| {
            refunds
                .iter()
                .filter(|r| statuses.contains(&r.status.as_str()))
                .map(|r| r.amount_minor)
                .sum::<i64>()
        };
        let done = sum(&["done"]);
        let ours = payment.standing.refunded_minor.max(sum(&["done", "pending"]));
        let missed = theirs > ours
            && !store::has_open_notice(conn, self.project, self.provider.name(), &snapshot.external_id)
                .await?;
        let (expected, detail) = if missed {
            (ours, "the provider gave money back that nothing here knew of")
        } else if theirs < done {
            (done, "a refund is kept here as done, and the provider has not given it back")
        } else {
            return Ok(None);
        };
        let money = |minor| Money { minor, currency: payment.amount.currency };
        Ok(Some(NewCase {
            expected: Some(money(expected)),
            actual: Some(money(theirs)),
            ..NewCase::about(
                payment,
                Kind::RefundMismatch,
                format!("{} {expected} {theirs}", snapshot.external_id),
                detail,
            )
        }))
    }

    async fn read(&self, credentials: &Credentials, external_id: &str) -> anyhow::Result<Option<Snapshot>> {
        self.ask("read", || self.provider.find_payment(&credentials.access, external_id)).await
    }

    /// What is paid here and was not in the provider's books is asked for by its number.
    async fn look_for_paid(
        &self,
        credentials: &Credentials,
        seen: &HashSet<String>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let mut conn = self.app.db.acquire().await?;
        let paid =
            store::list_paid(&mut conn, self.project, self.provider.name(), self.from, self.to).await?;
        drop(conn);
        for row in paid {
            let known = row.external_id.filter(|id| !seen.contains(id));
            let Some(external_id) = known else { continue };
            self.renew().await?;
            let id = PaymentId::from_uuid(row.id);
            if let Some(snapshot) = self.read(credentials, &external_id).await? {
                report.checked += 1;
                self.compare(credentials, id, &snapshot, report).await?;
                continue;
            }
            let mut conn = self.app.db.acquire().await?;
            let payment = store::get_payment(&mut conn, self.project, id).await?;
            let detail = "the payment is kept here as paid, and the provider does not know it";
            self.raise_unpaid(&mut conn, &payment, detail, report).await?;
        }
        Ok(())
    }

    /// Asks the provider about one of our payments now, and takes in what it says.
    pub(super) async fn ask_about(
        &self,
        credentials: &Credentials,
        id: PaymentId,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let app = self.app;
        let payment = store::get_payment(&mut *app.db.acquire().await?, self.project, id).await?;
        if payment.provider != self.provider.name() {
            return Ok(());
        }
        let desk = Desk { app, provider: self.provider, credentials, payment: &payment, attempts: 1 };
        let mut calls = Calls::default();
        let snapshots = desk.ask(&mut calls).await.map_err(|error| anyhow::anyhow!("search: {error}"))?;
        let mut tx = app.db.begin().await?;
        let Some(mut payment) = store::lock_payment(&mut tx, self.project, id, None).await? else {
            return Ok(());
        };
        let account = credentials.account_id.as_deref();
        let moved = settle::take_in_all(app, &mut tx, &mut payment, &snapshots, account).await?;
        tx.commit().await?;
        report.raise_many(Kind::AmountMismatch, moved.mismatches);
        report.raise_many(Kind::Duplicate, moved.duplicates);
        if moved.told {
            events::wake(app);
        }
        waiters::wake(id);
        Ok(())
    }
}
