//! The templates that come with the hub: in Spanish, Portuguese and English, compiled in from `defaults/`.

use serde_json::{Value, json};
use trastienda_protocol::notification::Channel;

use super::{Found, Template};

/// Shown as the version of a template that comes with the hub.
const VERSION: i32 = 0;

struct Builtin {
    name: &'static str,
    channel: Channel,
    locale: &'static str,
    subject: Option<&'static str>,
    html: Option<&'static str>,
    text: &'static str,
}

macro_rules! email {
    ($name:literal, $locale:literal, $subject:literal) => {
        Builtin {
            name: $name,
            channel: Channel::Email,
            locale: $locale,
            subject: Some($subject),
            html: Some(include_str!(concat!("../defaults/", $name, ".email.", $locale, ".html"))),
            text: include_str!(concat!("../defaults/", $name, ".email.", $locale, ".txt")),
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
            html: None,
            text: include_str!(concat!("../defaults/", $name, ".whatsapp.", $locale, ".txt")),
        }
    };
}

const BUILTINS: &[Builtin] = &[
    email!("order_confirmation", "es", "Recibimos tu pedido {{ order_id }}"),
    email!("order_confirmation", "pt", "Recebemos o seu pedido {{ order_id }}"),
    email!("order_confirmation", "en", "We received your order {{ order_id }}"),
    whatsapp!("order_confirmation", "es"),
    whatsapp!("order_confirmation", "pt"),
    whatsapp!("order_confirmation", "en"),
    email!("payment_received", "es", "Recibimos tu pago del pedido {{ order_id }}"),
    email!("payment_received", "pt", "Recebemos o pagamento do pedido {{ order_id }}"),
    email!("payment_received", "en", "We received your payment for order {{ order_id }}"),
];

/// The template in the first of these locales in which it comes.
pub(crate) fn find(name: &str, channel: Channel, locales: &[&str]) -> Option<Found> {
    let named = || BUILTINS.iter().filter(|builtin| builtin.name == name && builtin.channel == channel);
    let builtin = locales.iter().find_map(|locale| named().find(|builtin| builtin.locale == *locale))?;
    Some(Found {
        version: VERSION,
        locale: builtin.locale.to_owned(),
        subject: builtin.subject.map(str::to_owned),
        html: builtin.html.map(str::to_owned),
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
        locale: found.locale,
        subject: found.subject,
        html: found.html,
        text: found.text,
        sample: found.sample,
        active: true,
        created_at: None,
        activated_at: None,
    }
}

fn sample(name: &str) -> Value {
    let mut sample = json!({"order_id": "A-1042", "customer_name": "Ana", "currency": "ARS"});
    if name == "order_confirmation" {
        sample["total"] = "31500.00".into();
        sample["items"] = json!([
            {"name": "Mate imperial", "quantity": 1, "price": "28500.00"},
            {"name": "Yerba orgánica 500 g", "quantity": 2, "price": "1500.00"},
        ]);
    } else {
        sample["amount"] = "31500.00".into();
    }
    sample
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::notifications::render;

    #[test]
    fn each_renders_with_its_sample_and_without_what_is_optional() {
        for builtin in BUILTINS {
            let found = find(builtin.name, builtin.channel, &[builtin.locale]).unwrap();
            let own = json!({"shop": {"name": "Mates & Cía", "domain": "mates.example.com"}});
            let mut data = found.sample.as_object().unwrap().clone();
            for optional in ["", "items"] {
                data.remove(optional);
                let rendered =
                    render::render(found.parts(), &found.locale, "/data", &data, own.as_object().unwrap());
                let rendered = rendered
                    .unwrap_or_else(|errors| panic!("{} {}: {errors:?}", builtin.name, builtin.locale));
                let text = rendered.text.unwrap();
                assert!(
                    text.contains("A-1042") && text.contains("31.500") || text.contains("31,500"),
                    "{text}"
                );
                if let Some(html) = rendered.html {
                    assert!(html.contains("A-1042") && html.contains("Mates &amp; Cía"), "{html}");
                    assert!(html.len() < 100_000, "mail clients cut longer ones");
                }
            }
            let errors = render::render(found.parts(), "es", "/data", &Map::new(), own.as_object().unwrap())
                .unwrap_err();
            assert!(errors.iter().any(|error| error.pointer == "/data/customer_name"), "{errors:?}");
        }
    }

    #[test]
    fn each_name_comes_in_spanish_to_which_others_fall_back() {
        for builtin in BUILTINS {
            assert!(find(builtin.name, builtin.channel, &["fr", "es"]).is_some(), "{}", builtin.name);
        }
        assert!(find("order_confirmation", Channel::Email, &["fr"]).is_none());
        assert!(find("nothing", Channel::Email, &["es"]).is_none());
    }
}
