//! What a shop has that can be listed, looked at and acted upon: the API's addresses and what may be sent there. Pages
//! and actions are the same code for all of them.

use serde_json::{Map, Value};

use super::form::Form;
use crate::http::{Error, Result};

/// A kind of thing.
#[derive(Debug)]
pub(super) struct Kind {
    /// In our addresses.
    pub(super) name: &'static str,
    /// In the API's.
    pub(super) api: &'static str,
    pub(super) list_page: &'static str,
    pub(super) detail_page: Option<&'static str>,
    pub(super) filters: &'static [&'static str],
    /// Filters that are always set.
    pub(super) fixed: &'static [(&'static str, &'static str)],
    pub(super) verbs: &'static [Verb],
    /// Where the API's answer holds what may be personal.
    pub(super) personal: &'static [&'static str],
}

/// Something that can be done to it.
#[derive(Debug)]
pub(super) struct Verb {
    pub(super) name: &'static str,
    /// The fields that the API takes.
    pub(super) fields: &'static [Field],
    pub(super) answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Back to the page, saying that it is done.
    Done,
    /// What comes back is shown this once: the field.
    Secret(&'static str),
    /// Back to the page with a number: the field.
    Number(&'static str),
}

#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    form: FieldForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldForm {
    Text,
    Number,
    Flag,
    /// A date and time without a zone, in UTC.
    Time,
}

const fn text(name: &'static str) -> Field {
    Field { name, form: FieldForm::Text }
}

const fn number(name: &'static str) -> Field {
    Field { name, form: FieldForm::Number }
}

const fn verb(name: &'static str, fields: &'static [Field], answer: Answer) -> Verb {
    Verb { name, fields, answer }
}

const REPLAY: &[Field] = &[
    Field { name: "since", form: FieldForm::Time },
    Field { name: "until", form: FieldForm::Time },
    text("event_type"),
    text("status"),
    number("rate_per_second"),
    Field { name: "dry_run", form: FieldForm::Flag },
];

const KINDS: &[Kind] = &[
    Kind {
        name: "events",
        api: "/v1/events",
        list_page: "events.html",
        detail_page: Some("event.html"),
        filters: &["type", "order_id", "status"],
        fixed: &[],
        verbs: &[],
        personal: &["/data", "/problem", "/schema_errors"],
    },
    Kind {
        name: "deliveries",
        api: "/v1/webhook-deliveries",
        list_page: "deliveries.html",
        detail_page: Some("delivery.html"),
        filters: &["endpoint", "event_type", "status", "order_id"],
        fixed: &[],
        verbs: &[verb("retry", &[], Answer::Done)],
        personal: &["/attempts"],
    },
    Kind {
        name: "endpoints",
        api: "/v1/webhook-endpoints",
        list_page: "endpoints.html",
        detail_page: Some("endpoint.html"),
        filters: &[],
        fixed: &[],
        verbs: &[
            verb("test", &[], Answer::Done),
            verb("enable", &[text("backlog")], Answer::Number("backlog_count")),
            verb("rotate-secret", &[number("overlap_seconds")], Answer::Secret("secret")),
            verb("replay", REPLAY, Answer::Number("queued")),
        ],
        personal: &[],
    },
    Kind {
        name: "notifications",
        api: "/v1/notifications",
        list_page: "notifications.html",
        detail_page: Some("notification.html"),
        filters: &["channel", "to", "template", "status", "order_id"],
        fixed: &[],
        verbs: &[verb("retry", &[], Answer::Done), verb("cancel", &[], Answer::Done)],
        personal: &["/to", "/content", "/metadata", "/problem", "/attempts", "/whatsapp"],
    },
    Kind {
        name: "whatsapp",
        api: "/v1/notifications",
        list_page: "whatsapp.html",
        detail_page: None,
        filters: &[],
        fixed: &[("channel", "whatsapp"), ("status", "pending")],
        verbs: &[verb("cancel", &[], Answer::Done)],
        personal: &["/to", "/metadata"],
    },
    Kind {
        name: "payments",
        api: "/v1/payments",
        list_page: "payments.html",
        detail_page: Some("payment.html"),
        filters: &["provider", "status", "order_id"],
        fixed: &[],
        verbs: &[
            verb("sync", &[], Answer::Done),
            verb("cancel", &[], Answer::Done),
            verb("confirm", &[text("reference")], Answer::Done),
            verb("refunds", &[text("amount")], Answer::Done),
        ],
        personal: &["/description", "/metadata"],
    },
    Kind {
        name: "cases",
        api: "/v1/payment-cases",
        list_page: "cases.html",
        detail_page: None,
        filters: &["kind", "status", "order_id"],
        fixed: &[],
        verbs: &[verb("close", &[text("note")], Answer::Done)],
        personal: &[],
    },
    Kind {
        name: "templates",
        api: "/v1/templates",
        list_page: "templates.html",
        detail_page: None,
        filters: &["name", "channel", "locale"],
        fixed: &[],
        verbs: &[verb("activate", &[number("version")], Answer::Done)],
        personal: &[],
    },
];

impl Kind {
    pub(super) fn find(name: &str) -> Result<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name).ok_or(Error::NotFound("page"))
    }

    pub(super) fn verb(&self, name: &str) -> Result<&'static Verb> {
        self.verbs.iter().find(|verb| verb.name == name).ok_or(Error::NotFound("action"))
    }
}

impl Verb {
    /// The API's body, of the fields that were filled in. What is in them is the API's to check.
    pub(super) fn body(&self, form: &Form) -> Value {
        let value = |field: &Field, given: &str| match field.form {
            FieldForm::Text => Value::from(given),
            FieldForm::Number => given.parse::<i64>().map_or_else(|_| Value::from(given), Value::from),
            FieldForm::Flag => Value::Bool(true),
            FieldForm::Time => Value::from(in_utc(given)),
        };
        let fields = self.fields.iter().filter_map(|field| {
            let given = form.get(field.name)?;
            Some((field.name.to_owned(), value(field, given)))
        });
        Value::Object(fields.collect::<Map<_, _>>())
    }
}

/// What a browser's date field says, as a time in UTC; anything else stays for the API to refuse.
fn in_utc(text: &str) -> String {
    let read = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| chrono::NaiveDateTime::parse_from_str(text, format).ok());
    read.map_or_else(|| text.to_owned(), |at| trastienda_protocol::time::format(at.and_utc()))
}
