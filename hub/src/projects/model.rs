//! A project and what is known about it while it is being served.

use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;
use trastienda_protocol::api_key::Mode;
use trastienda_protocol::ids::ProjectId;
use utoipa::ToSchema;

use super::plans::{FLAGS, Limits, Plan};

/// One shop.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name.
    pub name: String,
    /// Its main domain, for people.
    pub domain: String,
    /// Real money or the provider's test accounts.
    pub mode: Mode,
    /// Its plan.
    pub plan: Plan,
    /// Whether its key is taken.
    pub is_active: bool,
    /// When it was made.
    #[serde(serialize_with = "trastienda_protocol::time::serialize")]
    pub created_at: DateTime<Utc>,
}

/// A project's own limits; `None` is the plan's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitOverrides {
    /// See [`Limits`].
    pub requests_per_minute: Option<i32>,
    /// See [`Limits`].
    pub events_per_day: Option<i32>,
    /// See [`Limits`].
    pub emails_per_day: Option<i32>,
    /// See [`Limits`].
    pub whatsapp_per_day: Option<i32>,
    /// See [`Limits`].
    pub payments_per_day: Option<i32>,
    /// See [`Limits`].
    pub endpoints: Option<i32>,
    /// See [`Limits`].
    pub retention_days: Option<i32>,
}

impl LimitOverrides {
    /// The limits in force on a plan.
    pub fn on(self, plan: Plan) -> Limits {
        let limits = plan.limits();
        let own = |own: Option<i32>, plan: u32| own.and_then(|own| u32::try_from(own).ok()).unwrap_or(plan);
        Limits {
            requests_per_minute: own(self.requests_per_minute, limits.requests_per_minute),
            events_per_day: own(self.events_per_day, limits.events_per_day),
            emails_per_day: own(self.emails_per_day, limits.emails_per_day),
            whatsapp_per_day: own(self.whatsapp_per_day, limits.whatsapp_per_day),
            payments_per_day: own(self.payments_per_day, limits.payments_per_day),
            endpoints: own(self.endpoints, limits.endpoints),
            retention_days: own(self.retention_days, limits.retention_days),
        }
    }
}

/// A project with everything that a request needs to know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectContext {
    /// The project.
    pub project: Project,
    /// The limits in force.
    pub limits: Limits,
    /// The flags that the project itself sets.
    pub own_flags: BTreeMap<String, bool>,
}

impl ProjectContext {
    /// Whether a flag is on for the project.
    pub fn feature(&self, flag: &str) -> bool {
        self.own_flags.get(flag).copied().unwrap_or_else(|| self.project.plan.flag(flag))
    }

    /// All flags that are known or set, by name.
    pub fn features(&self) -> BTreeMap<String, bool> {
        let known = FLAGS.iter().map(|flag| (flag.name.to_owned(), self.project.plan.flag(flag.name)));
        known.chain(self.own_flags.clone()).collect()
    }
}

/// The services that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Events.
    Events,
    /// E-mails.
    Emails,
    /// WhatsApp links.
    Whatsapp,
    /// Payments.
    Payments,
}

impl Service {
    /// The word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Emails => "emails",
            Self::Whatsapp => "whatsapp",
            Self::Payments => "payments",
        }
    }

    /// The quota per UTC day.
    pub fn quota(self, limits: &Limits) -> u32 {
        match self {
            Self::Events => limits.events_per_day,
            Self::Emails => limits.emails_per_day,
            Self::Whatsapp => limits.whatsapp_per_day,
            Self::Payments => limits.payments_per_day,
        }
    }
}
