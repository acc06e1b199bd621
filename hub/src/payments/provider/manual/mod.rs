//! Money that comes outside any provider: a bank transfer, cash at the counter. The operator confirms it and gives it
//! back by hand; nothing is called, so there is nothing to ask, to verify or to keep credentials for.

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use trastienda_protocol::money::{Currency, Money};
use trastienda_protocol::payment::Method;
use url::Url;

use super::{
    Access, Account, Created, Exchange, Order, Provider, RefundOrder, Refunded, Snapshot, Withdrawal,
};
use crate::app::App;
use crate::payments::status::State;

/// Its name in the API and the database.
pub(crate) const NAME: &str = "manual";

/// The provider.
pub(crate) struct Manual;

impl Provider for Manual {
    fn name(&self) -> &'static str {
        NAME
    }

    fn methods(&self) -> &'static [Method] {
        &[Method::Manual]
    }

    fn needs_credentials(&self) -> bool {
        false
    }

    fn base_url(&self, app: &App) -> Url {
        app.config.public_url.clone()
    }

    fn currency(&self, _site: &str) -> Option<Currency> {
        None
    }

    fn account<'a>(&'a self, _access: &'a Access) -> BoxFuture<'a, Exchange<Account>> {
        let nobody = Account { id: String::new(), site: String::new(), is_test: false };
        at_once(nobody)
    }

    fn create<'a>(&'a self, _access: &'a Access, _order: &'a Order<'a>) -> BoxFuture<'a, Exchange<Created>> {
        at_once(Created::default())
    }

    fn find_created<'a>(
        &'a self,
        _access: &'a Access,
        _order: &'a Order<'a>,
    ) -> BoxFuture<'a, Exchange<Option<Created>>> {
        at_once(Some(Created::default()))
    }

    fn find_payment<'a>(
        &'a self,
        _access: &'a Access,
        _external_id: &'a str,
    ) -> BoxFuture<'a, Exchange<Option<Snapshot>>> {
        at_once(None)
    }

    fn list_payments<'a>(
        &'a self,
        _access: &'a Access,
        _reference: &'a str,
    ) -> BoxFuture<'a, Exchange<Vec<Snapshot>>> {
        at_once(Vec::new())
    }

    fn withdraw<'a>(
        &'a self,
        _access: &'a Access,
        _withdrawal: &'a Withdrawal<'a>,
    ) -> BoxFuture<'a, Exchange<Option<Snapshot>>> {
        at_once(None)
    }

    fn refund<'a>(
        &'a self,
        _access: &'a Access,
        refund: &'a RefundOrder<'a>,
    ) -> BoxFuture<'a, Exchange<Refunded>> {
        let given = refund.given_minor + refund.amount.minor;
        let state = if given >= refund.of.minor { State::Refunded } else { State::Approved };
        let payment = Snapshot {
            refunded_minor: given,
            state: Some(state),
            ..confirmed(refund.external_id, refund.of, refund.now)
        };
        at_once(Refunded { external_id: None, payment: Some(payment) })
    }

    fn list_changed<'a>(
        &'a self,
        _access: &'a Access,
        _from: DateTime<Utc>,
        _to: DateTime<Utc>,
    ) -> BoxFuture<'a, Exchange<Option<Vec<Snapshot>>>> {
        at_once(Some(Vec::new()))
    }
}

/// The money as the operator has it in hand.
pub(crate) fn confirmed(external_id: &str, amount: Money, now: DateTime<Utc>) -> Snapshot {
    Snapshot {
        external_id: external_id.to_owned(),
        reference: None,
        account_id: None,
        state: Some(State::Approved),
        reason: None,
        amount: Some(amount),
        refunded_minor: 0,
        updated_at: now,
        qr_code: None,
        qr_code_base64: None,
        ticket_url: None,
        expires_at: None,
    }
}

fn at_once<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Exchange<T>> {
    std::future::ready(Exchange::at_once(value)).boxed()
}
