//! Mercado Pago: Checkout Pro preferences and the Payments API.
//!
//! - [`client`] sends one call; [`errors`] reads its refusals; [`wire`] has the bodies, [`amount`] their numbers.
//! - [`map`] turns its words into ours; [`signature`] and [`notice`] read what it sends by itself.
//!
//! Not here: the Orders API, OAuth, subscriptions, and anything that remembers.

mod amount;
mod books;
mod client;
mod errors;
mod map;
mod notice;
mod signature;
mod wire;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::Method as HttpMethod;
use trastienda_protocol::money::Currency;
use trastienda_protocol::payment::Method;
use url::{Host, Url};

use self::client::Call;
use super::{
    Access, Account, CallError, Created, Exchange, Notices, Order, Provider, RefundOrder, Refunded, Snapshot,
    Withdrawal,
};
use crate::app::App;

/// Its name in the API and the database.
const NAME: &str = "mercadopago";
/// The host of the real one.
const HOST: &str = "api.mercadopago.com";
/// Results asked for at once.
const PAGE: usize = 100;
/// Pages that are read of one search: far more attempts than one payment has.
const PAGES_MAX: usize = 10;

/// The provider.
pub(crate) struct MercadoPago;

impl Provider for MercadoPago {
    fn name(&self) -> &'static str {
        NAME
    }

    fn methods(&self) -> &'static [Method] {
        &[Method::Checkout, Method::Card, Method::Pix, Method::Ticket]
    }

    fn base_url(&self, app: &App) -> Url {
        app.config.mercadopago_url.clone()
    }

    fn notices(&self) -> Option<&dyn Notices> {
        Some(&notice::Inbox)
    }

    fn notification_url(&self, app: &App, address: &str) -> Option<String> {
        // The real one refuses what it cannot call; its simulator is on the same machine.
        let is_real = app.config.mercadopago_url.host_str() == Some(HOST);
        let url = Url::parse(address).ok()?;
        (is_public(&url) || !is_real).then(|| format!("{address}?source_news=webhooks"))
    }

    fn currency(&self, site: &str) -> Option<Currency> {
        map::currency(site)
    }

    fn account<'a>(&'a self, access: &'a Access) -> BoxFuture<'a, Exchange<Account>> {
        async {
            let reply = client::send(access, Call::get("/users/me".to_owned(), &[])).await;
            reply.and_then(|body| {
                let user: wire::User = client::read(&body)?;
                let is_test = user.tags.unwrap_or_default().iter().any(|tag| tag == "test_user");
                Ok(Account { id: user.id, site: user.site_id, is_test })
            })
        }
        .boxed()
    }

    fn create<'a>(&'a self, access: &'a Access, order: &'a Order<'a>) -> BoxFuture<'a, Exchange<Created>> {
        async move {
            if order.method == Method::Checkout {
                create_preference(access, order).await
            } else {
                create_payment(access, order).await
            }
        }
        .boxed()
    }

    fn find_created<'a>(
        &'a self,
        access: &'a Access,
        order: &'a Order<'a>,
    ) -> BoxFuture<'a, Exchange<Option<Created>>> {
        async move {
            if order.method == Method::Checkout {
                return find_preference(access, &order.reference).await;
            }
            let found = search(access, &order.reference).await;
            found.and_then(|payments| {
                // Of several, the one that an earlier call under the same key made: the first.
                let first = payments.into_iter().min_by_key(|payment| payment.updated_at);
                Ok(first.map(|payment| Created { payment: Some(payment), ..Created::default() }))
            })
        }
        .boxed()
    }

    fn find_payment<'a>(
        &'a self,
        access: &'a Access,
        external_id: &'a str,
    ) -> BoxFuture<'a, Exchange<Option<Snapshot>>> {
        get_payment(access, external_id).boxed()
    }

    fn list_payments<'a>(
        &'a self,
        access: &'a Access,
        reference: &'a str,
    ) -> BoxFuture<'a, Exchange<Vec<Snapshot>>> {
        search(access, reference).boxed()
    }

    fn withdraw<'a>(
        &'a self,
        access: &'a Access,
        withdrawal: &'a Withdrawal<'a>,
    ) -> BoxFuture<'a, Exchange<Option<Snapshot>>> {
        async move {
            if let Some(id) = withdrawal.provider_reference {
                let closed = close_preference(access, id, withdrawal.now).await;
                if closed.result.is_err() {
                    return closed;
                }
            }
            let Some(id) = withdrawal.external_id else {
                return Exchange::at_once(None);
            };
            let body = serde_json::json!({"status": "cancelled"});
            let call = Call::write(HttpMethod::PUT, format!("/v1/payments/{id}"), &body, None);
            client::send(access, call).await.and_then(|body| map::snapshot(client::read(&body)?).map(Some))
        }
        .boxed()
    }

    fn refund<'a>(
        &'a self,
        access: &'a Access,
        refund: &'a RefundOrder<'a>,
    ) -> BoxFuture<'a, Exchange<Refunded>> {
        async move {
            let is_whole = refund.amount == refund.of;
            let amount = (!is_whole).then_some(amount::Amount(refund.amount));
            let path = format!("/v1/payments/{}/refunds", refund.external_id);
            let body = wire::NewRefund { amount };
            let call = Call::write(HttpMethod::POST, path, &body, Some(refund.key));
            // A repeat under the same key is answered with 200 and nothing in the body.
            client::send(access, call).await.and_then(|body| refunded(&body))
        }
        .boxed()
    }

    fn list_changed<'a>(
        &'a self,
        access: &'a Access,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> BoxFuture<'a, Exchange<Option<Vec<Snapshot>>>> {
        books::list_changed(access, from, to).boxed()
    }
}

/// A repeat under the same key is answered with 200 and nothing in the body.
fn refunded(body: &bytes::Bytes) -> Result<Refunded, CallError> {
    let Ok(refund) = client::read::<wire::Refund>(body) else { return Ok(Refunded::default()) };
    if matches!(refund.status.as_deref(), Some("rejected" | "cancelled" | "canceled")) {
        let code = "refund_rejected".to_owned();
        return Err(CallError::Refused { status: 200, code, message: String::new() });
    }
    Ok(Refunded { external_id: Some(refund.id), payment: None })
}

/// There is no deleting: its life is ended.
async fn close_preference(access: &Access, id: &str, now: DateTime<Utc>) -> Exchange<Option<Snapshot>> {
    let end = map::written(now - TimeDelta::minutes(1));
    let body = wire::ClosePreference { expires: true, expiration_date_to: end };
    let call = Call::write(HttpMethod::PUT, format!("/checkout/preferences/{id}"), &body, None);
    client::send(access, call).await.and_then(|_| Ok(None))
}

async fn create_preference(access: &Access, order: &Order<'_>) -> Exchange<Created> {
    let reply = post_preference(access, order, order.key, true).await;
    match &reply.result {
        // It dislikes where the customer would return to by themselves. They can still press the link. What was
        // refused is another call than this one, so this has a key of its own, the same on every try.
        Err(CallError::Refused { code, .. }) if code == "invalid_auto_return" => {
            post_preference(access, order, &format!("{}-2", order.key), false).await
        }
        _ => reply,
    }
}

async fn post_preference(
    access: &Access,
    order: &Order<'_>,
    key: &str,
    auto_return: bool,
) -> Exchange<Created> {
    let body = map::preference(order, auto_return);
    let call = Call::write(HttpMethod::POST, "/checkout/preferences".to_owned(), &body, Some(key));
    client::send(access, call).await.and_then(|body| created(client::read(&body)?))
}

fn created(preference: wire::Preference) -> Result<Created, CallError> {
    let checkout_url =
        preference.init_point.ok_or_else(|| CallError::Unknown("the preference has no link".to_owned()))?;
    Ok(Created { provider_reference: Some(preference.id), checkout_url: Some(checkout_url), payment: None })
}

async fn create_payment(access: &Access, order: &Order<'_>) -> Exchange<Created> {
    let body = map::payment(order);
    let call = Call::write(HttpMethod::POST, "/v1/payments".to_owned(), &body, Some(order.key));
    client::send(access, call).await.and_then(|body| {
        let payment = map::snapshot(client::read(&body)?)?;
        Ok(Created { payment: Some(payment), ..Created::default() })
    })
}

async fn find_preference(access: &Access, reference: &str) -> Exchange<Option<Created>> {
    let query = [("external_reference", reference), ("limit", "10")];
    let path = "/checkout/preferences/search".to_owned();
    let found = client::send(access, Call::get(path, &query)).await.and_then(|body| {
        let search: wire::PreferenceSearch = client::read(&body)?;
        let mut elements = search.elements.unwrap_or_default().into_iter();
        Ok(elements.find(|element| element.external_reference.as_deref() == Some(reference)))
    });
    let Exchange { result, request_id, duration } = found;
    let preference = match result {
        Ok(Some(preference)) => preference,
        Ok(None) => return Exchange { result: Ok(None), request_id, duration },
        Err(error) => return Exchange { result: Err(error), request_id, duration },
    };
    // The search leaves out the link.
    let reply =
        client::send(access, Call::get(format!("/checkout/preferences/{}", preference.id), &[])).await;
    reply.and_then(|body| created(client::read(&body)?).map(Some))
}

async fn get_payment(access: &Access, external_id: &str) -> Exchange<Option<Snapshot>> {
    let reply = client::send(access, Call::get(format!("/v1/payments/{external_id}"), &[])).await;
    match reply.result {
        Err(CallError::NotFound) => {
            Exchange { result: Ok(None), request_id: reply.request_id, duration: reply.duration }
        }
        _ => reply.and_then(|body| map::snapshot(client::read(&body)?).map(Some)),
    }
}

async fn search(access: &Access, reference: &str) -> Exchange<Vec<Snapshot>> {
    let limit = PAGE.to_string();
    let mut snapshots = Vec::new();
    let mut page = 0;
    loop {
        let offset = (page * PAGE).to_string();
        let query = [
            ("sort", "date_created"),
            ("criteria", "desc"),
            ("external_reference", reference),
            ("limit", &limit),
            ("offset", &offset),
        ];
        let reply = client::send(access, Call::get("/v1/payments/search".to_owned(), &query)).await;
        let read = reply.and_then(|body| {
            let found: wire::PaymentSearch = client::read(&body)?;
            let total = found.paging.and_then(|paging| paging.total).unwrap_or(found.results.len());
            let page: Result<Vec<_>, _> = found.results.into_iter().map(map::snapshot).collect();
            Ok((page?, total))
        });
        let (found, total) = match read.result {
            Ok(read) => read,
            Err(error) => {
                return Exchange { result: Err(error), request_id: read.request_id, duration: read.duration };
            }
        };
        let is_last = found.is_empty();
        // The filter is the provider's promise; that nobody else's payment is taken is ours.
        snapshots.extend(found.into_iter().filter(|payment| payment.reference.as_deref() == Some(reference)));
        page += 1;
        if is_last || page * PAGE >= total || page == PAGES_MAX {
            return Exchange { result: Ok(snapshots), request_id: read.request_id, duration: read.duration };
        }
    }
}

/// Whether somebody outside could call it.
fn is_public(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || !name.contains('.'),
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => true,
    };
    url.scheme() == "https" && !local
}
