//! What is sent: which notices a change gives, and each one's address, headers and body.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use url::Url;

use super::signature::{manifest, sign};

/// What happened to the payment, in the words of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Created,
    Updated,
}

/// One change a seller is to be told about.
#[derive(Clone, Debug)]
pub(crate) struct Burst {
    pub(crate) url: String,
    pub(crate) user_id: i64,
    pub(crate) secret: String,
    pub(crate) payment_id: i64,
    pub(crate) order_id: Option<i64>,
    pub(crate) action: Action,
}

/// The kind of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Signed: `?data.id=…&type=payment`.
    Payment(Action),
    /// The unsigned hint of old: `?id=…&topic=payment`.
    HintOfPayment,
    /// The same for the merchant order.
    HintOfOrder,
    /// Signed: `?data.id=ORD…&type=order`, of the Orders API. Whether its signature is over the id in lower case, as was
    /// seen beside the id as it is.
    Order { lowered: bool },
    /// What the seller's panel sends to try an address out.
    Ping,
}

/// One notice, whose every attempt is stamped anew.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) topic: Topic,
    pub(crate) url: String,
    pub(crate) data_id: String,
    pub(crate) user_id: i64,
    pub(crate) secret: String,
    /// Signed by a stranger.
    pub(crate) forged: bool,
}

/// What differs between two attempts.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    pub(crate) notice_id: i64,
    pub(crate) request_id: String,
    pub(crate) ts: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) retry: usize,
}

/// A request ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Value,
}

impl Burst {
    /// The notices of this change, in the order they leave.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        let notice = |topic, data_id: i64| Notice {
            topic,
            url: self.url.clone(),
            data_id: data_id.to_string(),
            user_id: self.user_id,
            secret: self.secret.clone(),
            forged: false,
        };
        let news = source_news(&self.url);
        let mut notices = Vec::new();
        if news.as_deref() != Some("webhooks") {
            notices.extend(self.order_id.map(|id| notice(Topic::HintOfOrder, id)));
        }
        if news.as_deref() != Some("ipn") {
            notices.push(notice(Topic::Payment(self.action), self.payment_id));
        }
        if news.as_deref() != Some("webhooks") {
            notices.push(notice(Topic::HintOfPayment, self.payment_id));
        }
        notices
    }

    /// The signed notice as a stranger would send it.
    pub(crate) fn forgery(&self) -> Notice {
        Notice {
            topic: Topic::Payment(self.action),
            url: self.url.clone(),
            data_id: self.payment_id.to_string(),
            user_id: self.user_id,
            secret: self.secret.clone(),
            forged: true,
        }
    }
}

impl Topic {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Payment(Action::Created) => "payment.created",
            Self::Payment(Action::Updated) => "payment.updated",
            Self::HintOfPayment => "ipn.payment",
            Self::HintOfOrder => "ipn.merchant_order",
            Self::Order { .. } => "order.updated",
            Self::Ping => "test.ping",
        }
    }
}

impl Notice {
    /// `None` when the address is none.
    pub(crate) fn request(&self, stamp: &Stamp) -> Option<Request> {
        let mut url = Url::parse(&self.url).ok()?;
        let mut headers =
            vec![("x-request-id", stamp.request_id.clone()), ("x-retry", stamp.retry.to_string())];
        let body = match self.topic {
            Topic::Payment(_) | Topic::Ping => {
                url.query_pairs_mut().append_pair("data.id", &self.data_id).append_pair("type", "payment");
                let agent = if self.topic == Topic::Ping {
                    "restclient-node/4.15.3"
                } else {
                    "MercadoPago WebHook v1.0 payment"
                };
                headers.push(("user-agent", agent.to_owned()));
                headers.push(("x-signature", self.signature(stamp)));
                headers.push(("x-socket-timeout", "22000".to_owned()));
                headers.push(("x-rest-pool-name", "pool-notifications".to_owned()));
                self.body(stamp)
            }
            Topic::Order { .. } => {
                url.query_pairs_mut().append_pair("data.id", &self.data_id).append_pair("type", "order");
                headers.push(("user-agent", "MercadoPago WebHook v1.0 order".to_owned()));
                headers.push(("x-signature", self.signature(stamp)));
                let mut body = self.body(stamp);
                body["type"] = json!("order");
                body["action"] = json!("order.updated");
                body["data"]["status"] = json!("processed");
                body
            }
            Topic::HintOfPayment => {
                // A signature that nobody can check comes with some.
                if self.forged {
                    headers.push(("x-signature", self.signature(stamp)));
                }
                url.query_pairs_mut().append_pair("id", &self.data_id).append_pair("topic", "payment");
                headers.push(("user-agent", "MercadoPago Feed v2.0 payment".to_owned()));
                json!({"resource": self.data_id, "topic": "payment"})
            }
            Topic::HintOfOrder => {
                url.query_pairs_mut().append_pair("id", &self.data_id).append_pair("topic", "merchant_order");
                headers.push(("user-agent", "MercadoPago Feed v2.0 merchant_order".to_owned()));
                let resource = format!("https://api.mercadolibre.com/merchant_orders/{}", self.data_id);
                json!({"resource": resource, "topic": "merchant_order"})
            }
        };
        Some(Request { url, headers, body })
    }

    fn signature(&self, stamp: &Stamp) -> String {
        let signed_id = match self.topic {
            Topic::Order { lowered: true } => self.data_id.to_lowercase(),
            _ => self.data_id.clone(),
        };
        let text = manifest(Some(&signed_id), Some(&stamp.request_id), &stamp.ts);
        let secret = if self.forged { "a stranger's secret" } else { self.secret.as_str() };
        format!("ts={},v1={}", stamp.ts, sign(secret, &text))
    }

    fn body(&self, stamp: &Stamp) -> Value {
        let action = match self.topic {
            Topic::Payment(Action::Updated) | Topic::Ping => "payment.updated",
            _ => "payment.created",
        };
        json!({
            "id": stamp.notice_id,
            "live_mode": self.topic != Topic::Ping,
            "type": "payment",
            "date_created": stamp.at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "user_id": self.user_id.to_string(),
            "api_version": "v1",
            "action": action,
            "data": {"id": self.data_id},
        })
    }
}

fn source_news(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    url.query_pairs().find(|(name, _)| name == "source_news").map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(url: &str) -> Burst {
        Burst {
            url: url.to_owned(),
            user_id: 7,
            secret: "s".to_owned(),
            payment_id: 123,
            order_id: Some(9),
            action: Action::Created,
        }
    }

    fn topics(url: &str) -> Vec<&'static str> {
        burst(url).notices().iter().map(|notice| notice.topic.as_str()).collect()
    }

    #[test]
    fn an_address_can_choose_what_it_hears() {
        assert_eq!(topics("http://a.test/h"), ["ipn.merchant_order", "payment.created", "ipn.payment"]);
        assert_eq!(topics("http://a.test/h?source_news=webhooks"), ["payment.created"]);
        assert_eq!(topics("http://a.test/h?source_news=ipn"), ["ipn.merchant_order", "ipn.payment"]);
    }

    #[test]
    fn the_query_of_the_address_is_kept() {
        let stamp = Stamp {
            notice_id: 1,
            request_id: "r".to_owned(),
            ts: "2".to_owned(),
            at: crate::clock::read("2026-11-24T12:00:00Z").unwrap(),
            retry: 0,
        };
        let notice = &burst("http://a.test/h?x=1&source_news=webhooks").notices()[0];
        let request = notice.request(&stamp).unwrap();
        assert_eq!(request.url.as_str(), "http://a.test/h?x=1&source_news=webhooks&data.id=123&type=payment");
        assert_eq!(request.body["data"]["id"], "123");
    }
}
