//! Payments as callers ask for them.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::check::{self, Errors, Fields};
use crate::ids::PaymentId;
use crate::money::{self, Currency, Money};
use crate::problem::FieldError;

/// How the customer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Method {
    /// The provider's own page.
    Checkout,
    /// A card, tokenised in the customer's browser.
    Card,
    /// Pix (Brazil).
    Pix,
    /// A ticket paid in cash.
    Ticket,
    /// Outside any provider, confirmed by the operator.
    Manual,
}

impl Method {
    /// The words and what they mean.
    pub const CHOICES: &'static [(&'static str, Self)] = &[
        ("checkout", Self::Checkout),
        ("card", Self::Card),
        ("pix", Self::Pix),
        ("ticket", Self::Ticket),
        ("manual", Self::Manual),
    ];

    /// The word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        Self::CHOICES.iter().find(|(_, method)| *method == self).map_or("", |(word, _)| word)
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::CHOICES.iter().find(|(word, _)| *word == text).map(|(_, method)| *method)
    }

    /// Whether an agent may keep the call until the hub is back: a card's token lives too short.
    pub fn can_be_buffered(self) -> bool {
        matches!(self, Self::Checkout | Self::Pix | Self::Ticket)
    }
}

/// Who pays.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Payer {
    /// Their address.
    pub email: String,
    /// Their first name.
    pub first_name: Option<String>,
    /// Their last name.
    pub last_name: Option<String>,
    /// Their document's type, as `DNI` or `CPF`.
    pub identification_type: Option<String>,
    /// Their document's number.
    pub identification_number: Option<String>,
}

/// A card that the customer's browser turned into a token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Card {
    /// The provider's single-use token.
    pub token: String,
    /// The card's brand, as the provider names it.
    pub payment_method_id: String,
    /// In how many parts it is paid.
    pub installments: i64,
    /// The bank, where the provider asks for it.
    pub issuer_id: Option<String>,
}

/// One line of the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What the customer reads.
    pub title: String,
    /// How many.
    pub quantity: i64,
    /// The price of one.
    pub unit_price: Money,
}

/// Where the provider's page sends the customer back to.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackUrls {
    /// After paying.
    pub success: Option<String>,
    /// While the payment is being decided.
    pub pending: Option<String>,
    /// After a refusal.
    pub failure: Option<String>,
}

/// What a caller sends to `POST /v1/payments`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPayment {
    /// The id that the caller made, if it did.
    pub id: Option<PaymentId>,
    /// The shop's order.
    pub order_id: String,
    /// What is to be paid now.
    pub amount: Money,
    /// What the whole order costs; `amount` when absent.
    pub order_amount: Money,
    /// What the customer reads.
    pub description: String,
    /// How they pay.
    pub method: Method,
    /// Who pays.
    pub payer: Payer,
    /// The card, for `card`.
    pub card: Option<Card>,
    /// Which ticket, for `ticket`.
    pub payment_method_id: Option<String>,
    /// The order's lines.
    pub items: Vec<Item>,
    /// Where the customer comes back to, for `checkout`.
    pub back_urls: BackUrls,
    /// When the offer ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// The shop's own notes, returned as they are.
    pub metadata: Map<String, Value>,
}

impl NewPayment {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// Every field that is missing, wrong or unknown.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Errors::default();
        let payment = Fields::of(body, &mut errors).and_then(|mut fields| {
            let id = fields.optional("id", check::id);
            let order_id = fields.required("order_id", check::reference);
            let currency = fields.required("currency", money::currency);
            // With an unknown currency the amounts are still checked for their general shape.
            let assumed = currency.unwrap_or(Currency::Ars);
            let amount = fields.required("amount", money::amount(assumed));
            let order_amount = fields.optional("order_amount", money::amount(assumed));
            let description = fields.required("description", check::line(1, 256));
            let method = fields.required("method", check::one_of(Method::CHOICES));
            if !fields.has("payer") {
                fields.refuse("payer", "is required");
            }
            let payer = fields.nested("payer", payer);
            let card = fields.nested("card", card);
            let payment_method_id = fields.optional("payment_method_id", check::line(1, 64));
            let items = fields.list("items", 200, |fields| item(fields, assumed));
            let back_urls = fields.nested("back_urls", back_urls).unwrap_or_default();
            let expires_at = fields.optional("expires_at", check::timestamp);
            let metadata = fields.optional("metadata", check::object).unwrap_or_default();
            check_method(&mut fields, method);
            if let (Some(amount), Some(order_amount)) = (amount, order_amount)
                && order_amount.minor < amount.minor
            {
                fields.refuse("order_amount", "must be at least `amount`");
            }
            fields.finish();
            currency?;
            let amount = amount?;
            Some(Self {
                id,
                order_id: order_id?,
                amount,
                order_amount: order_amount.unwrap_or(amount),
                description: description?,
                method: method?,
                payer: payer?,
                card,
                payment_method_id,
                items,
                back_urls,
                expires_at,
                metadata,
            })
        });
        errors.finish(payment)
    }
}

/// What each method needs and has no place for.
fn check_method(fields: &mut Fields<'_, '_>, method: Option<Method>) {
    match method {
        Some(Method::Card) if !fields.has("card") => fields.refuse("card", "is required for `card`"),
        Some(Method::Ticket) if !fields.has("payment_method_id") => {
            fields.refuse("payment_method_id", "is required for `ticket`, as `rapipago` or `bolbradesco`");
        }
        _ => {}
    }
    let misplaced =
        [("card", Method::Card), ("payment_method_id", Method::Ticket), ("back_urls", Method::Checkout)];
    for (name, owner) in misplaced {
        if fields.has(name) && method.is_some_and(|method| method != owner) {
            fields.refuse(name, format!("only goes with method `{}`", owner.as_str()));
        }
    }
}

fn payer(fields: &mut Fields<'_, '_>) -> Option<Payer> {
    let email = fields.required("email", check::email);
    let first_name = fields.optional("first_name", check::line(1, 128));
    let last_name = fields.optional("last_name", check::line(1, 128));
    let identification = fields.nested("identification", |fields| {
        let kind = fields.required("type", check::line(1, 32));
        let number = fields.required("number", check::line(1, 32));
        Some((kind?, number?))
    });
    let (identification_type, identification_number) = identification.unzip();
    Some(Payer { email: email?, first_name, last_name, identification_type, identification_number })
}

fn card(fields: &mut Fields<'_, '_>) -> Option<Card> {
    let token = fields.required("token", check::line(1, 128));
    let payment_method_id = fields.required("payment_method_id", check::line(1, 64));
    let installments = fields.required("installments", check::integer(1, 36));
    let issuer_id = fields.optional("issuer_id", check::line(1, 32));
    Some(Card {
        token: token?,
        payment_method_id: payment_method_id?,
        installments: installments?,
        issuer_id,
    })
}

fn item(fields: &mut Fields<'_, '_>, currency: Currency) -> Option<Item> {
    let title = fields.required("title", check::line(1, 256));
    let quantity = fields.required("quantity", check::integer(1, 1_000_000));
    let unit_price = fields.required("unit_price", money::amount(currency));
    Some(Item { title: title?, quantity: quantity?, unit_price: unit_price? })
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that `nested` asks for")]
fn back_urls(fields: &mut Fields<'_, '_>) -> Option<BackUrls> {
    let success = fields.optional("success", check::web_url);
    let pending = fields.optional("pending", check::web_url);
    let failure = fields.optional("failure", check::web_url);
    Some(BackUrls { success, pending, failure })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body() -> Value {
        json!({"order_id": "A-1", "amount": "1500.00", "currency": "ARS", "description": "Yerba",
            "method": "checkout", "payer": {"email": "ana@example.com"}})
    }

    fn pointers(body: &Value) -> Vec<String> {
        NewPayment::parse(body)
            .map_or_else(|errors| errors.into_iter().map(|e| e.pointer).collect(), |_| Vec::new())
    }

    #[test]
    fn a_right_payment_is_read() {
        let payment = NewPayment::parse(&body()).unwrap();
        assert_eq!((payment.amount.minor, payment.order_amount.minor), (150_000, 150_000));
    }

    #[test]
    fn impossible_amounts_are_refused() {
        for amount in
            [json!(1500), json!("-1"), json!("0"), json!("1.005"), json!("1e5"), json!("9999999999999")]
        {
            let mut body = body();
            body["amount"] = amount;
            assert_eq!(pointers(&body), ["/amount"], "{body}");
        }
        let mut less = body();
        less["order_amount"] = json!("10");
        assert_eq!(pointers(&less), ["/order_amount"]);
    }

    #[test]
    fn each_method_says_what_it_needs() {
        let mut card = body();
        card["method"] = json!("card");
        card["back_urls"] = json!({"success": "https://shop.example/ok"});
        assert_eq!(pointers(&card), ["/card", "/back_urls"]);
        let mut nothing = body();
        nothing["payer"] = json!({"email": "x", "identification": {"type": "DNI"}, "age": 7});
        assert_eq!(pointers(&nothing), ["/payer/email", "/payer/identification/number", "/payer/age"]);
    }
}
