//! What a provider is asked for, as it is kept in the payment's row until the call is done.

use serde::{Deserialize, Serialize};
use trastienda_protocol::payment::{BackUrls, Card, NewPayment, Payer};

/// The part of a payment that only the provider's call needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) description: String,
    pub(crate) payer: Payer,
    #[serde(default)]
    pub(crate) items: Vec<Line>,
    #[serde(default)]
    pub(crate) back_urls: BackUrls,
    /// Gone once the card was charged: its token works once.
    #[serde(default)]
    pub(crate) card: Option<Card>,
    #[serde(default)]
    pub(crate) payment_method_id: Option<String>,
}

/// One line of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) title: String,
    pub(crate) quantity: i64,
    pub(crate) unit_price_minor: i64,
}

impl From<&NewPayment> for Request {
    fn from(new: &NewPayment) -> Self {
        let line = |item: &trastienda_protocol::payment::Item| Line {
            title: item.title.clone(),
            quantity: item.quantity,
            unit_price_minor: item.unit_price.minor,
        };
        Self {
            description: new.description.clone(),
            payer: new.payer.clone(),
            items: new.items.iter().map(line).collect(),
            back_urls: new.back_urls.clone(),
            card: new.card.clone(),
            payment_method_id: new.payment_method_id.clone(),
        }
    }
}

impl Request {
    /// The lines, if they come to the amount to the last cent.
    pub(crate) fn lines_worth(&self, amount_minor: i64) -> Option<&[Line]> {
        let sum = self.items.iter().try_fold(0i64, |sum, line| {
            line.unit_price_minor.checked_mul(line.quantity).and_then(|worth| sum.checked_add(worth))
        });
        (!self.items.is_empty() && sum == Some(amount_minor)).then_some(&self.items)
    }
}
