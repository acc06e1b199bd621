//! Plans: what a project may use when nothing else is set for it. Here in code, so that a plan cannot be
//! half changed; a project's own limits and flags are rows.

use serde::Serialize;
use utoipa::ToSchema;

/// A plan's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// For trying, and for small shops.
    Free,
    /// For shops that sell.
    Pro,
}

impl Plan {
    /// The words and what they mean.
    pub const CHOICES: &'static [(&'static str, Self)] = &[("free", Self::Free), ("pro", Self::Pro)];

    /// The word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::CHOICES.iter().find(|(word, _)| *word == text).map(|(_, plan)| *plan)
    }

    /// The plan's limits.
    pub fn limits(self) -> Limits {
        match self {
            Self::Free => Limits {
                requests_per_minute: 600,
                events_per_day: 10_000,
                emails_per_day: 500,
                whatsapp_per_day: 500,
                payments_per_day: 500,
                endpoints: 5,
                retention_days: 30,
            },
            Self::Pro => Limits {
                requests_per_minute: 6_000,
                events_per_day: 1_000_000,
                emails_per_day: 50_000,
                whatsapp_per_day: 50_000,
                payments_per_day: 50_000,
                endpoints: 50,
                retention_days: 90,
            },
        }
    }

    /// Whether a flag is on when the project does not say.
    pub fn flag(self, flag: &str) -> bool {
        FLAGS.iter().find(|known| known.name == flag).is_some_and(|known| known.plans.contains(&self))
    }
}

/// What a project may use: the plan's, or its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Limits {
    /// Requests per minute, a batch counting as one.
    pub requests_per_minute: u32,
    /// Events per UTC day.
    pub events_per_day: u32,
    /// E-mails per UTC day.
    pub emails_per_day: u32,
    /// WhatsApp links per UTC day.
    pub whatsapp_per_day: u32,
    /// Payments per UTC day.
    pub payments_per_day: u32,
    /// Webhook endpoints.
    pub endpoints: u32,
    /// Days for which events, deliveries and logs are kept.
    pub retention_days: u32,
}

/// A feature flag that the hub knows. Projects may set any other too; those are off unless set.
#[derive(Debug, Serialize, ToSchema)]
pub struct Flag {
    /// Its name.
    pub name: &'static str,
    /// What it opens.
    pub description: &'static str,
    #[serde(skip)]
    plans: &'static [Plan],
}

/// The flags that plans decide about.
pub const FLAGS: &[Flag] = &[
    Flag {
        name: "notifications",
        description: "E-mail and WhatsApp notifications",
        plans: &[Plan::Free, Plan::Pro],
    },
    Flag { name: "payments", description: "Payments through the hub", plans: &[Plan::Free, Plan::Pro] },
    Flag { name: "webhooks", description: "Webhook endpoints", plans: &[Plan::Free, Plan::Pro] },
    Flag {
        name: "ordered_webhooks",
        description: "Endpoints that receive events in order",
        plans: &[Plan::Pro],
    },
];
