//! The page a preference's `init_point` leads to, and what its buttons do.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::html::{Esc, message, page, status_badge};
use crate::app::App;
use crate::control::{Attempt, Refusal, pay as make_payment};
use crate::money::Money;
use crate::payments::Payment;
use crate::preferences::Preference;

/// `GET /checkout/v1/redirect?pref_id=`
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let id = query.get("pref_id").map_or("", String::as_str);
    app.change(|state, now| match state.preferences.get(id) {
        None => missing(),
        Some(preference) if preference.is_closed(now) => {
            message(StatusCode::OK, "Este pago venció", "Volvé a la tienda y empezá de nuevo.")
        }
        Some(preference) => page(StatusCode::OK, "Pagar", &form(preference)),
    })
}

/// `POST /checkout/v1/pay`: pay, be rejected, leave it pending, or leave.
pub(super) async fn pay(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let fields: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let (id, action) = (field("pref_id").to_owned(), field("action"));
    if action == "leave" {
        return app.change(|state, _| state.preferences.get(&id).map_or_else(missing, leave));
    }
    let attempt = Attempt {
        status: Some(if action == "reject" { "rejected" } else { "approved" }.to_owned()),
        status_detail: None,
        method: fields.get("method").cloned(),
    };
    let attempt =
        if action == "later" { Attempt { status: Some("pending".to_owned()), ..attempt } } else { attempt };
    match make_payment(&app, &id, &attempt) {
        Ok(payment_id) => app.change(|state, _| {
            let payment = state.payments.get(&payment_id);
            let preference = state.preferences.get(&id);
            match (payment, preference) {
                (Some(payment), Some(preference)) => outcome(&app, payment, preference),
                _ => missing(),
            }
        }),
        Err(Refusal::NotFound(_)) => missing(),
        Err(Refusal::Conflict(_)) => {
            message(StatusCode::CONFLICT, "Este pago venció", "Volvé a la tienda y empezá de nuevo.")
        }
        Err(Refusal::Invalid(_)) => page(
            StatusCode::BAD_REQUEST,
            "Medio no disponible",
            &format!(
                "<section><h1>Ese medio no sirve para esto</h1>\
                 <p>Para pagar después elegí efectivo, un boleto o Pix.</p>\
                 <a class=\"button main\" href=\"/checkout/v1/redirect?pref_id={}\">Elegir otro medio</a></section>",
                Esc(&id)
            ),
        ),
    }
}

fn form(preference: &Preference) -> String {
    let mut html = String::from("<section><h1>Tu compra</h1><table>");
    for item in preference.body.get("items").and_then(Value::as_array).into_iter().flatten() {
        let title = item["title"].as_str().unwrap_or_default();
        let price = Money::read(&item["unit_price"], preference.site.decimals);
        let line = price.and_then(|price| price.times(item["quantity"].as_i64()?));
        let _ = write!(
            html,
            "<tr><td>{} × {}</td><td class=\"sum\">{}</td></tr>",
            Esc(&item["quantity"]),
            Esc(title),
            Esc(line.map(Money::text).unwrap_or_default())
        );
    }
    let _ = write!(
        html,
        "<tr class=\"total\"><td>Total</td><td class=\"sum\">{} {}</td></tr></table>\
         <form method=\"post\" action=\"/checkout/v1/pay\">\
         <input type=\"hidden\" name=\"pref_id\" value=\"{}\">\
         <fieldset><legend>Medio de pago</legend>",
        Esc(preference.site.currency),
        Esc(preference.total.text()),
        Esc(&preference.id)
    );
    let mut later = false;
    for (index, method) in preference.site.methods.iter().filter(|m| !preference.excludes(m)).enumerate() {
        later |= method.is_deferred();
        let checked = if index == 0 { " checked" } else { "" };
        let _ = write!(
            html,
            "<label><input type=\"radio\" name=\"method\" value=\"{}\"{checked}> {}</label>",
            Esc(method.id),
            Esc(method.name)
        );
    }
    html.push_str(
        "</fieldset><div class=\"row\">\
         <button class=\"main\" name=\"action\" value=\"approve\">Pagar</button>\
         <button name=\"action\" value=\"reject\">Simular un rechazo</button>",
    );
    if later {
        html.push_str("<button name=\"action\" value=\"later\">Pagar después (efectivo o Pix)</button>");
    }
    html.push_str("<button name=\"action\" value=\"leave\">Volver sin pagar</button></div></form></section>");
    html
}

/// What the buyer sees after an attempt: the shop at once if it asked for that, a page with the way back
/// otherwise. A rejected buyer may always try again.
fn outcome(app: &App, payment: &Payment, preference: &Preference) -> Response {
    let which = payment.status.back_url();
    let back = preference.back_url(which).and_then(|url| way_back(url, Some(payment), preference));
    if preference.returns_by_itself(which)
        && let Some(url) = &back
    {
        return Redirect::to(url.as_str()).into_response();
    }
    let (title, text) = match which {
        "success" => ("Listo, se acreditó tu pago", "La tienda ya fue avisada."),
        "pending" => ("Tu pago está pendiente", "La tienda será avisada cuando se acredite."),
        _ => ("Tu pago fue rechazado", "Podés probar con otro medio de pago."),
    };
    let mut html = format!(
        "<section><h1>{}</h1><p>{}</p><p>{} <span class=\"soft\">operación {}</span></p><div class=\"row\">",
        Esc(title),
        Esc(text),
        status_badge(payment.status.as_str()),
        payment.id
    );
    if which == "failure" {
        let again = preference.init_point(&app.public_url);
        let _ = write!(html, "<a class=\"button main\" href=\"{}\">Probar de nuevo</a>", Esc(again));
    }
    if which == "pending" && payment.method.is_deferred() {
        let ticket = payment.ticket_url(&app.public_url);
        let _ = write!(html, "<a class=\"button main\" href=\"{}\">Ver el comprobante</a>", Esc(ticket));
    }
    match back {
        Some(url) => {
            let _ = write!(html, "<a class=\"button\" href=\"{}\">Volver a la tienda</a>", Esc(url));
        }
        None => html.push_str("<span class=\"soft\">La tienda no indicó a dónde volver.</span>"),
    }
    html.push_str("</div></section>");
    page(StatusCode::OK, title, &html)
}

fn leave(preference: &Preference) -> Response {
    match preference.back_url("failure").and_then(|url| way_back(url, None, preference)) {
        Some(url) => Redirect::to(url.as_str()).into_response(),
        None => message(StatusCode::OK, "No pagaste nada", "La tienda no indicó a dónde volver."),
    }
}

/// The return address with what is known, and the word `null` for what is not.
fn way_back(url: &str, payment: Option<&Payment>, preference: &Preference) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    let null = || "null".to_owned();
    let id = payment.map_or_else(null, |payment| payment.id.to_string());
    let status = payment.map_or("null", |payment| payment.status.as_str());
    let order = payment.and_then(|payment| payment.order).map_or_else(null, |order| order.to_string());
    url.query_pairs_mut()
        .append_pair("collection_id", &id)
        .append_pair("collection_status", status)
        .append_pair("payment_id", &id)
        .append_pair("status", status)
        .append_pair("external_reference", preference.external_reference().unwrap_or("null"))
        .append_pair("payment_type", payment.map_or("null", |payment| payment.method.kind))
        .append_pair("merchant_order_id", &order)
        .append_pair("preference_id", &preference.id)
        .append_pair("site_id", preference.site.id)
        .append_pair("processing_mode", "aggregator")
        .append_pair("merchant_account_id", "null");
    Some(url)
}

fn missing() -> Response {
    message(StatusCode::NOT_FOUND, "No encontramos esa compra", "Revisá el enlace o volvé a la tienda.")
}
