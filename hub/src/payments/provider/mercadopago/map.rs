//! Mercado Pago's words in ours, and ours in its.

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use trastienda_protocol::money::{Currency, Money};

use super::amount::Amount;
use super::wire;
use crate::payments::provider::{CallError, Order, Snapshot};
use crate::payments::status::State;

/// What a payment's status and detail mean. `None`: not known to this version, so nothing may follow from it.
fn state(status: &str, detail: Option<&str>) -> Option<State> {
    Some(match (status, detail.unwrap_or_default()) {
        ("pending", _) => State::Pending,
        ("in_process", _) => State::InProcess,
        ("authorized", _) => State::Authorized,
        ("approved", _) => State::Approved,
        ("in_mediation", _) => State::InMediation,
        ("charged_back", "settled") => State::ChargebackLost,
        ("charged_back", "reimbursed") => State::ChargebackWon,
        ("charged_back", _) => State::ChargedBack,
        ("refunded", _) => State::Refunded,
        ("rejected", _) => State::Rejected,
        ("cancelled" | "canceled", "expired") => State::Expired,
        ("cancelled" | "canceled", _) => State::Cancelled,
        _ => return None,
    })
}

/// A rejection's reason without what all of them begin with.
fn reason(detail: &str) -> String {
    let bare =
        ["cc_rejected_", "rejected_", "cc_"].into_iter().find_map(|prefix| detail.strip_prefix(prefix));
    let bare = bare.unwrap_or(detail);
    let clean: String = bare.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect();
    if clean.is_empty() { "other_reason".to_owned() } else { clean }
}

/// A payment as it was read.
pub(super) fn snapshot(payment: wire::Payment) -> Result<Snapshot, CallError> {
    let state = state(&payment.status, payment.status_detail.as_deref());
    let currency = payment.currency_id.as_deref().and_then(Currency::parse);
    let money = |currency| payment.transaction_amount.as_ref().and_then(|amount| amount.money(currency));
    let refunded = payment.transaction_amount_refunded.as_ref();
    let updated_at = payment.date_last_updated.as_deref().and_then(time);
    let updated_at = updated_at
        .or_else(|| payment.date_created.as_deref().and_then(time))
        .ok_or_else(|| CallError::Unknown("the payment has no date".to_owned()))?;
    let interaction = payment.point_of_interaction.and_then(|point| point.transaction_data);
    let (qr_code, qr_code_base64, ticket_url) =
        interaction.map_or((None, None, None), |data| (data.qr_code, data.qr_code_base64, data.ticket_url));
    let resource = payment.transaction_details.and_then(|details| details.external_resource_url);
    Ok(Snapshot {
        external_id: payment.id,
        reference: payment.external_reference,
        account_id: payment.collector_id,
        state,
        reason: (state == Some(State::Rejected))
            .then(|| reason(payment.status_detail.as_deref().unwrap_or_default())),
        amount: currency.and_then(money),
        refunded_minor: currency.and_then(|currency| refunded?.minor(currency)).unwrap_or(0),
        updated_at,
        qr_code,
        qr_code_base64,
        ticket_url: ticket_url.or(resource),
        expires_at: payment.date_of_expiration.as_deref().and_then(time),
    })
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

/// A time as Mercado Pago writes it: milliseconds and a numeric offset.
pub(super) fn written(at: DateTime<Utc>) -> String {
    FixedOffset::west_opt(4 * 3_600).map_or_else(
        || at.to_rfc3339_opts(SecondsFormat::Millis, false),
        |zone| at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Millis, false),
    )
}

/// The preference of a checkout.
pub(super) fn preference<'a>(order: &'a Order<'a>, auto_return: bool) -> wire::NewPreference<'a> {
    let currency_id = order.amount.currency.as_str();
    let price = |minor| Amount(Money { minor, currency: order.amount.currency });
    let items = match order.request.lines_worth(order.amount.minor) {
        Some(lines) => lines
            .iter()
            .map(|line| wire::Item {
                title: &line.title,
                quantity: line.quantity,
                currency_id,
                unit_price: price(line.unit_price_minor),
            })
            .collect(),
        None => vec![wire::Item {
            title: &order.request.description,
            quantity: 1,
            currency_id,
            unit_price: price(order.amount.minor),
        }],
    };
    let urls = &order.request.back_urls;
    let any_url = urls.success.is_some() || urls.pending.is_some() || urls.failure.is_some();
    let payer = &order.request.payer;
    let end = order.expires_at.map(written);
    wire::NewPreference {
        items,
        payer: wire::Payer {
            email: &payer.email,
            name: payer.first_name.as_deref(),
            surname: payer.last_name.as_deref(),
            identification: identification(order),
            ..wire::Payer::default()
        },
        external_reference: &order.reference,
        back_urls: any_url.then_some(wire::BackUrls {
            success: urls.success.as_deref(),
            pending: urls.pending.as_deref(),
            failure: urls.failure.as_deref(),
        }),
        auto_return: (auto_return && urls.success.is_some()).then_some("approved"),
        notification_url: order.notification_url.as_deref(),
        expires: end.is_some().then_some(true),
        expiration_date_to: end.clone(),
        // Tickets and Pix codes that are made on the page end with it.
        date_of_expiration: end,
    }
}

/// The payment of a card, a Pix code or a ticket.
pub(super) fn payment<'a>(order: &'a Order<'a>) -> wire::NewPayment<'a> {
    let request = order.request;
    let card = request.card.as_ref();
    let payment_method_id = card
        .map(|card| card.payment_method_id.as_str())
        .or(request.payment_method_id.as_deref())
        .unwrap_or("pix");
    wire::NewPayment {
        transaction_amount: Amount(order.amount),
        description: &request.description,
        payment_method_id,
        payer: wire::Payer {
            email: &request.payer.email,
            first_name: request.payer.first_name.as_deref(),
            last_name: request.payer.last_name.as_deref(),
            identification: identification(order),
            ..wire::Payer::default()
        },
        external_reference: &order.reference,
        token: card.map(|card| card.token.as_str()),
        installments: card.map(|card| card.installments),
        issuer_id: card.and_then(|card| card.issuer_id.as_deref()),
        notification_url: order.notification_url.as_deref(),
        date_of_expiration: if card.is_none() { order.expires_at.map(written) } else { None },
    }
}

fn identification<'a>(order: &'a Order<'a>) -> Option<wire::Identification<'a>> {
    let payer = &order.request.payer;
    Some(wire::Identification {
        kind: payer.identification_type.as_deref()?,
        number: payer.identification_number.as_deref()?,
    })
}

/// The currency of a country.
pub(super) fn currency(site: &str) -> Option<Currency> {
    Some(match site {
        "MLA" => Currency::Ars,
        "MLB" => Currency::Brl,
        "MLC" => Currency::Clp,
        "MCO" => Currency::Cop,
        "MLM" => Currency::Mxn,
        "MPE" => Currency::Pen,
        "MLU" => Currency::Uyu,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use trastienda_protocol::payment::{BackUrls, Method, Payer};

    use super::*;
    use crate::payments::request::{Line, Request};

    fn read(json: Value) -> Snapshot {
        // As it comes: from bytes, not from a tree.
        snapshot(serde_json::from_slice(json.to_string().as_bytes()).unwrap()).unwrap()
    }

    fn payment_of(status: &str, detail: Value) -> Value {
        json!({"id": 139_077_673_662_i64, "status": status, "status_detail": detail, "currency_id": "ARS",
            "transaction_amount": 58.8, "transaction_amount_refunded": 0, "collector_id": 7, "external_reference": "pay_1",
            "date_created": "2021-09-17T11:59:10.367-04:00", "date_last_updated": "2021-09-17T12:00:00.000-04:00",
            "payer": {"id": null}, "card": {}, "surprise": [1]})
    }

    #[test]
    fn a_payment_is_read_with_nulls_and_surprises() {
        let snapshot = read(payment_of("approved", json!("accredited")));
        assert_eq!(
            (snapshot.external_id.as_str(), snapshot.account_id.as_deref()),
            ("139077673662", Some("7"))
        );
        assert_eq!(snapshot.amount, Some(Money { minor: 5_880, currency: Currency::Ars }));
        assert_eq!(snapshot.updated_at, time("2021-09-17T16:00:00Z").unwrap());
        let bare =
            read(json!({"id": "12", "status": "pending", "date_created": "2021-09-17T11:59:10.367-04:00",
            "transaction_amount": null, "collector_id": null, "point_of_interaction": null}));
        assert_eq!((bare.external_id.as_str(), bare.amount, bare.state), ("12", None, Some(State::Pending)));
    }

    #[test]
    fn every_documented_status_has_its_meaning_and_others_none() {
        for (status, detail, expected) in [
            ("pending", "pending_waiting_payment", Some(State::Pending)),
            ("in_process", "pending_contingency", Some(State::InProcess)),
            ("authorized", "pending_capture", Some(State::Authorized)),
            ("approved", "partially_refunded", Some(State::Approved)),
            ("in_mediation", "pending", Some(State::InMediation)),
            ("charged_back", "in_process", Some(State::ChargedBack)),
            ("charged_back", "settled", Some(State::ChargebackLost)),
            ("charged_back", "reimbursed", Some(State::ChargebackWon)),
            ("refunded", "by_admin", Some(State::Refunded)),
            ("cancelled", "expired", Some(State::Expired)),
            ("canceled", "by_payer", Some(State::Cancelled)),
            ("something_new", "", None),
        ] {
            assert_eq!(read(payment_of(status, json!(detail))).state, expected, "{status} {detail}");
        }
        let reason = |detail: Value| read(payment_of("rejected", detail)).reason.unwrap();
        assert_eq!(reason(json!("cc_rejected_insufficient_amount")), "insufficient_amount");
        assert_eq!(reason(json!("rejected_by_bank")), "by_bank");
        assert_eq!(reason(json!("cc_amount_rate_limit_exceeded")), "amount_rate_limit_exceeded");
        assert_eq!(reason(Value::Null), "other_reason");
    }

    fn request() -> Request {
        Request {
            description: "Yerba".to_owned(),
            payer: Payer {
                email: "ana@example.com".to_owned(),
                first_name: Some("Ana".to_owned()),
                last_name: None,
                identification_type: Some("DNI".to_owned()),
                identification_number: Some("12345678".to_owned()),
            },
            items: vec![Line { title: "Mate".to_owned(), quantity: 3, unit_price_minor: 10 }],
            back_urls: BackUrls {
                success: Some("https://shop.example/ok".to_owned()),
                ..BackUrls::default()
            },
            card: None,
            payment_method_id: None,
        }
    }

    fn order(request: &Request, minor: i64) -> Order<'_> {
        Order {
            reference: "pay_1".to_owned(),
            key: "k",
            method: Method::Checkout,
            amount: Money { minor, currency: Currency::Ars },
            request,
            expires_at: time("2026-11-24T12:00:00Z"),
            notification_url: Some(
                "https://hub.example/webhooks/mercadopago/prj_1?source_news=webhooks".to_owned(),
            ),
        }
    }

    #[test]
    fn a_preference_has_the_lines_when_they_come_to_the_amount() {
        let request = request();
        let text = serde_json::to_string(&preference(&order(&request, 30), true)).unwrap();
        assert!(text.contains(r#""unit_price":0.10"#), "{text}");
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["items"][0]["quantity"], 3);
        assert_eq!((json["auto_return"].as_str(), json["expires"].as_bool()), (Some("approved"), Some(true)));
        assert_eq!(json["expiration_date_to"], "2026-11-24T08:00:00.000-04:00");
        assert_eq!(json["payer"]["identification"], json!({"type": "DNI", "number": "12345678"}));
        let text = serde_json::to_string(&preference(&order(&request, 150_010), false)).unwrap();
        assert!(text.contains(r#""unit_price":1500.10"#) && text.contains(r#""title":"Yerba""#), "{text}");
        assert!(!text.contains("auto_return"));
    }

    #[test]
    fn a_payment_names_its_method() {
        let mut request = Request { payment_method_id: Some("rapipago".to_owned()), ..request() };
        assert_eq!(payment(&order(&request, 100)).payment_method_id, "rapipago");
        request.payment_method_id = None;
        assert_eq!(payment(&order(&request, 100)).payment_method_id, "pix");
    }
}
