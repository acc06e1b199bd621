//! SQL of alerts: their own tables, and what is looked at in the others', as numbers over all shops.

mod checks;
mod rows;
mod settings;
mod webhooks;

pub(crate) use checks::{
    AgentSeen, get_strain, list_agents, list_endpoints, list_failing_accounts, list_failing_servers,
    list_open_cases, list_providers, list_refused,
};
pub(crate) use rows::{
    AlertRow, insert_alert, list_open, list_over, mark_cleared, mark_recovered, mark_seen, try_lock,
};
pub(crate) use settings::{
    RuleRow, delete_rule, get_settings, list_rules, mark_looked, set_email, set_webhook, upsert_rule,
};
pub(crate) use webhooks::{
    ClaimedWebhook, NewWebhook, Posted, claim_webhooks, finish_webhook, insert_webhook, list_messages,
};
