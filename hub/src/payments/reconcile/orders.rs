//! The shop's side: the orders that it reported, against the payments that are kept here.

use trastienda_protocol::ids::{Id as _, PaymentId};

use super::{Comparing, Report};
use crate::payments::cases::{self, Kind, NewCase};
use crate::payments::credentials::Credentials;
use crate::payments::{settle, store};

impl Comparing<'_> {
    /// Compares the orders that the shop reported with the payments, once these are as the provider has them.
    pub(super) async fn compare_orders(
        &self,
        credentials: &Credentials,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        self.find_orders_without_payment(credentials, report).await?;
        self.find_payments_without_order(report).await?;
        self.find_overpaid(report).await
    }

    async fn find_orders_without_payment(
        &self,
        credentials: &Credentials,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let app = self.app;
        let mut conn = app.db.acquire().await?;
        let orders = store::list_orders_without_payment(&mut conn, self.project, self.from, self.to).await?;
        drop(conn);
        for order in orders {
            let mut conn = app.db.acquire().await?;
            let payments = store::list_of_order(&mut conn, self.project, &order).await?;
            drop(conn);
            // It may have been paid a moment ago.
            for id in &payments {
                self.ask_about(credentials, PaymentId::from_uuid(*id), report).await?;
            }
            let mut conn = app.db.acquire().await?;
            let mut is_paid = false;
            for id in &payments {
                let payment = store::get_payment(&mut conn, self.project, PaymentId::from_uuid(*id)).await?;
                is_paid |= payment.standing.status == crate::payments::status::Status::Paid;
            }
            if is_paid {
                continue;
            }
            let case = NewCase {
                kind: Kind::OrderWithoutPayment,
                subject: format!("order {order}"),
                provider: self.provider.name().to_owned(),
                payment_id: payments.last().map(|id| PaymentId::from_uuid(*id)),
                order_id: Some(order),
                external_id: None,
                expected: None,
                actual: None,
                detail: "the shop reported the order as paid, and no payment of it is".to_owned(),
            };
            let is_new = cases::raise(app, &mut conn, self.project, &case).await?;
            report.raise(case.kind, is_new);
        }
        Ok(())
    }

    async fn find_payments_without_order(&self, report: &mut Report) -> anyhow::Result<()> {
        let now = self.app.clock.now();
        let mut conn = self.app.db.acquire().await?;
        store::drop_cases_of_reported_orders(&mut conn, self.project, now).await?;
        let kept_since = now - store::REPORTS_KEPT;
        let found =
            store::list_paid_without_order(&mut conn, self.project, self.from, self.to, kept_since).await?;
        for id in found {
            let payment = store::get_payment(&mut conn, self.project, PaymentId::from_uuid(id)).await?;
            let detail = "the payment is paid, and the shop never reported its order";
            let case = NewCase {
                actual: Some(payment.amount),
                ..NewCase::about(&payment, Kind::PaidWithoutOrder, payment.id.to_string(), detail)
            };
            let is_new = cases::raise(self.app, &mut conn, self.project, &case).await?;
            report.raise(case.kind, is_new);
        }
        Ok(())
    }

    async fn find_overpaid(&self, report: &mut Report) -> anyhow::Result<()> {
        let mut conn = self.app.db.acquire().await?;
        for row in store::list_overpaid(&mut conn, self.project, self.from, self.to).await? {
            let payment = store::get_payment(&mut conn, self.project, PaymentId::from_uuid(row.id)).await?;
            let is_new = settle::raise_overpayment(self.app, &mut conn, &payment, row.sum).await?;
            report.raise(Kind::Duplicate, is_new);
        }
        Ok(())
    }
}
