//! The templates that come with the hub: in Spanish, Portuguese and English, compiled in from `defaults/`.

use std::sync::OnceLock;

use serde_json::{Value, json};
use trastienda_protocol::notification::Channel;

use super::{Found, Template};
use crate::notifications::render::{self, compile};

/// Shown as the version of a template that comes with the hub.
const VERSION: i32 = 0;

struct Builtin {
    name: &'static str,
    channel: Channel,
    locale: &'static str,
    subject: Option<&'static str>,
    mjml: Option<&'static str>,
    text: &'static str,
    /// Compiled when it is first asked for.
    html: OnceLock<Option<String>>,
}

impl Builtin {
    fn html(&self) -> Option<&str> {
        let compiled = self.html.get_or_init(|| {
            let compiled = self.mjml.map(compile::mjml)?;
            let told = |error| {
                tracing::error!(template = self.name, locale = self.locale, error, "does not compile");
            };
            compiled.map_err(told).ok()
        });
        compiled.as_deref()
    }
}

macro_rules! email {
    ($name:literal, $locale:literal, $subject:literal) => {
        Builtin {
            name: $name,
            channel: Channel::Email,
            locale: $locale,
            subject: Some($subject),
            mjml: Some(include_str!(concat!("../defaults/", $name, ".email.", $locale, ".mjml"))),
            text: include_str!(concat!("../defaults/", $name, ".email.", $locale, ".txt")),
            html: OnceLock::new(),
        }
    };
}

macro_rules! whatsapp {
    ($name:literal, $locale:literal) => {
        Builtin {
            name: $name,
            channel: Channel::Whatsapp,
            locale: $locale,
            subject: None,
            mjml: None,
            text: include_str!(concat!("../defaults/", $name, ".whatsapp.", $locale, ".txt")),
            html: OnceLock::new(),
        }
    };
}

static BUILTINS: [Builtin; 18] = [
    email!("order_confirmation", "es", "Recibimos tu pedido {{ order_id }}"),
    email!("order_confirmation", "pt", "Recebemos o seu pedido {{ order_id }}"),
    email!("order_confirmation", "en", "We received your order {{ order_id }}"),
    whatsapp!("order_confirmation", "es"),
    whatsapp!("order_confirmation", "pt"),
    whatsapp!("order_confirmation", "en"),
    email!("payment_received", "es", "Recibimos tu pago del pedido {{ order_id }}"),
    email!("payment_received", "pt", "Recebemos o pagamento do pedido {{ order_id }}"),
    email!("payment_received", "en", "We received your payment for order {{ order_id }}"),
    email!("payment_failed", "es", "No pudimos cobrar tu pedido {{ order_id }}"),
    email!("payment_failed", "pt", "Não conseguimos cobrar o pedido {{ order_id }}"),
    email!("payment_failed", "en", "We could not charge your order {{ order_id }}"),
    email!("shipping", "es", "Tu pedido {{ order_id }} está en camino"),
    email!("shipping", "pt", "Seu pedido {{ order_id }} está a caminho"),
    email!("shipping", "en", "Your order {{ order_id }} is on its way"),
    email!("password_reset", "es", "Cambia tu contraseña de {{ shop.name }}"),
    email!("password_reset", "pt", "Troque a sua senha de {{ shop.name }}"),
    email!("password_reset", "en", "Change your password at {{ shop.name }}"),
];

/// The template in the first of these locales in which it comes.
pub(crate) fn find(name: &str, channel: Channel, locales: &[&str]) -> Option<Found> {
    let named = || BUILTINS.iter().filter(|builtin| builtin.name == name && builtin.channel == channel);
    let builtin = locales.iter().find_map(|locale| named().find(|builtin| builtin.locale == *locale))?;
    Some(Found {
        version: VERSION,
        locale: builtin.locale.to_owned(),
        subject: builtin.subject.map(str::to_owned),
        mjml: builtin.mjml.map(str::to_owned),
        html: builtin.html().map(str::to_owned),
        text: Some(builtin.text.trim_end().to_owned()),
        sample: sample(builtin.name),
    })
}

/// All of them as the list shows them, except where the project has its own.
pub(crate) fn list(is_replaced: impl Fn(&str, Channel) -> bool) -> Vec<Template> {
    let kept = BUILTINS.iter().filter(|builtin| !is_replaced(builtin.name, builtin.channel));
    let found = kept.filter_map(|builtin| {
        let found = find(builtin.name, builtin.channel, &[builtin.locale])?;
        Some(show(builtin.name, builtin.channel, found))
    });
    found.collect()
}

/// One of them as callers see it.
pub(crate) fn show(name: &str, channel: Channel, found: Found) -> Template {
    Template {
        id: None,
        name: name.to_owned(),
        version: VERSION,
        builtin: true,
        channel: channel.as_str().to_owned(),
        variables: render::variables(found.parts()),
        locale: found.locale,
        subject: found.subject,
        // What there is to start from is the MJML.
        html: found.html.filter(|_| found.mjml.is_none()),
        mjml: found.mjml,
        text: found.text,
        sample: found.sample,
        active: true,
        made_by: None,
        created_at: None,
        activated_by: None,
        activated_at: None,
    }
}

fn sample(name: &str) -> Value {
    let mut sample = json!({"order_id": "A-1042", "customer_name": "Ana", "order_url": "https://mates.example.com/pedidos/A-1042"});
    let more = match name {
        "order_confirmation" => json!({"currency": "ARS", "total": "31500.00", "items": [
            {"name": "Mate imperial", "quantity": 1, "price": "28500.00"},
            {"name": "Yerba orgánica 500 g", "quantity": 2, "price": "1500.00"},
        ]}),
        "payment_failed" => json!({
            "currency": "ARS", "amount": "31500.00", "reason": "Fondos insuficientes",
            "retry_url": "https://mates.example.com/pedidos/A-1042/pagar",
        }),
        "shipping" => json!({
            "carrier": "Correo Argentino", "tracking_code": "AR-20981-7", "arrives_on": "2026-11-27",
            "tracking_url": "https://mates.example.com/seguir/AR-20981-7",
        }),
        "password_reset" => {
            return json!({"customer_name": "Ana", "reset_url": "https://mates.example.com/clave/9f3c", "valid_minutes": 60});
        }
        _ => json!({"currency": "ARS", "amount": "31500.00", "paid_at": "2026-11-24T14:30:00-03:00"}),
    };
    if let (Some(sample), Value::Object(more)) = (sample.as_object_mut(), more) {
        sample.extend(more);
    }
    sample
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use serde_json::Map;

    use super::*;
    use crate::notifications::render::{Manner, Rendered};

    /// What may be absent.
    const OPTIONAL: [&str; 11] = [
        "order_url",
        "items",
        "paid_at",
        "reason",
        "retry_url",
        "carrier",
        "tracking_code",
        "tracking_url",
        "arrives_on",
        "customer_name",
        "valid_minutes",
    ];

    fn rendered(builtin: &Builtin, data: &Map<String, Value>) -> Rendered {
        let found = find(builtin.name, builtin.channel, &[builtin.locale]).unwrap();
        let own = json!({"shop": {"name": "Mates & Cía", "domain": "mates.example.com"}});
        let manner = Manner { locale: &found.locale, time_zone: Tz::UTC };
        render::render(found.parts(), manner, "/data", data, own.as_object().unwrap())
            .unwrap_or_else(|errors| panic!("{} {}: {errors:?}", builtin.name, builtin.locale))
    }

    #[test]
    fn each_renders_with_its_sample_and_without_what_is_optional() {
        for builtin in &BUILTINS {
            let mut data = sample(builtin.name).as_object().unwrap().clone();
            for step in 0..2 {
                let rendered = rendered(builtin, &data);
                let text = rendered.text.unwrap();
                let told = if builtin.name == "password_reset" {
                    "https://mates.example.com/clave/9f3c"
                } else {
                    "A-1042"
                };
                assert!(text.contains(told) && !text.contains("{{") && !text.contains("\n\n\n\n"), "{text}");
                assert_eq!(rendered.html.is_some(), builtin.channel == Channel::Email);
                if let Some(html) = rendered.html.map(|html| html.replace("&#x2f;", "/")) {
                    let is_told = html.contains(told) && html.contains("Mates &amp; Cía");
                    assert!(is_told && !html.contains("{{") && !html.contains("{%"), "{html}");
                    assert!(html.len() < 100_000, "mail clients cut longer ones");
                }
                if step == 0 {
                    data.retain(|name, _| {
                        !OPTIONAL.contains(&name.as_str())
                            || (name == "customer_name" && builtin.name != "password_reset")
                    });
                }
            }
        }
    }

    #[test]
    fn each_amount_is_written_and_each_missing_variable_told() {
        for builtin in
            BUILTINS.iter().filter(|builtin| !matches!(builtin.name, "shipping" | "password_reset"))
        {
            let text = rendered(builtin, sample(builtin.name).as_object().unwrap()).text.unwrap();
            assert!(text.contains("31.500") || text.contains("31,500"), "{text}");
            let found = find(builtin.name, builtin.channel, &[builtin.locale]).unwrap();
            let manner = Manner { locale: "es", time_zone: Tz::UTC };
            let own = json!({"shop": {"name": "M", "domain": "m.example"}});
            let errors =
                render::render(found.parts(), manner, "/data", &Map::new(), own.as_object().unwrap());
            assert!(errors.unwrap_err().iter().any(|error| error.pointer == "/data/order_id"));
        }
    }

    /// Every place in a value where something stands.
    fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(name, value)| leaves(value, format!("{path}/{name}"), found));
            }
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, value)| leaves(value, format!("{path}/{index}"), found));
            }
            _ => found.push(path),
        }
    }

    #[test]
    fn no_variable_of_any_brings_html_along() {
        let nasty = [
            "\"'><img src=x onerror=alert(1)><script>alert(1)</script>--><!--",
            "</style><img src=x>",
            "javascript:alert(1)//\" onmouseover=alert(1) x=\"",
            "https://mates.example.com/?q=\"><img src=x>",
            "{{ shop.name }}<img>",
        ];
        let shop = json!({"shop": {"name": "Mates", "domain": "mates.example.com"}});
        let mut tried = 0;
        for builtin in BUILTINS.iter().filter(|builtin| builtin.channel == Channel::Email) {
            let found = find(builtin.name, builtin.channel, &[builtin.locale]).unwrap();
            let manner = Manner { locale: &found.locale, time_zone: Tz::UTC };
            let html = |data: &Value, own: &Value| {
                let (data, own) = (data.as_object().unwrap(), own.as_object().unwrap());
                Some(render::render(found.parts(), manner, "/data", data, own).ok()?.html.unwrap())
            };
            let plain = sample(builtin.name);
            let tags = html(&plain, &shop).unwrap().matches('<').count();
            for variable in render::variables(found.parts()) {
                let pointer = format!("/{}", variable.replace('.', "/"));
                assert!(plain.pointer(&pointer).is_some(), "{}: {variable} is not tried", builtin.name);
            }
            let (mut in_data, mut in_shop) = (Vec::new(), Vec::new());
            leaves(&plain, String::new(), &mut in_data);
            leaves(&shop, String::new(), &mut in_shop);
            for nasty in nasty {
                for (is_shops, pointer) in
                    in_data.iter().map(|it| (false, it)).chain(in_shop.iter().map(|it| (true, it)))
                {
                    let (mut data, mut own) = (plain.clone(), shop.clone());
                    let whole = if is_shops { &mut own } else { &mut data };
                    *whole.pointer_mut(pointer).unwrap() = nasty.into();
                    // What is no amount, no time or no address is refused instead.
                    let Some(html) = html(&data, &own) else { continue };
                    tried += 1;
                    let what = format!("{} {} {pointer} {nasty}", builtin.name, builtin.locale);
                    assert!(!html.contains("<img") && !html.contains("<script"), "{what}: {html}");
                    assert!(
                        !html.contains("href=\"javascript:") && !html.contains("\" onmouseover"),
                        "{what}: {html}"
                    );
                    assert_eq!(html.matches('<').count(), tags, "{what}");
                }
            }
        }
        // Most are words: those are written, not refused.
        assert!(tried > 300, "{tried}");
    }

    #[test]
    fn each_comes_in_three_languages_and_others_fall_back_to_spanish() {
        for builtin in &BUILTINS {
            for locale in ["es", "pt", "en"] {
                assert!(find(builtin.name, builtin.channel, &["fr", locale]).is_some(), "{}", builtin.name);
            }
        }
        assert!(find("order_confirmation", Channel::Email, &["fr"]).is_none());
        assert!(find("nothing", Channel::Email, &["es"]).is_none());
    }
}
