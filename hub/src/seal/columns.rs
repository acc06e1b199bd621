//! Every column that holds sealed values. A test compares it with the schema: a new one cannot be forgotten.

/// A column of sealed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its table. None is partitioned.
    pub table: &'static str,
    /// Its name.
    pub column: &'static str,
    /// What its values are sealed for.
    pub purpose: Purpose,
}

/// What a column's values are sealed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// All for the same.
    Same(&'static str),
    /// Each for this and the row's `name`.
    Named(&'static str),
}

/// All of them. The hub's own secrets come first: the key that seals those is the one that hubs seal with.
pub const COLUMNS: [Column; 9] = [
    Column { table: "hub_secrets", column: "sealed", purpose: Purpose::Named("hub_secrets.") },
    of("webhook_endpoints", "secret_sealed", "webhook_endpoints.secret"),
    of("webhook_endpoints", "previous_secret_sealed", "webhook_endpoints.secret"),
    of("webhook_endpoints", "headers_sealed", "webhook_endpoints.headers"),
    of("payment_providers", "access_token_sealed", "payment_providers.access_token"),
    of("payment_providers", "webhook_secret_sealed", "payment_providers.webhook_secret"),
    of("payment_providers", "previous_webhook_secret_sealed", "payment_providers.webhook_secret"),
    of("smtp_accounts", "sealed_password", "smtp_accounts.password"),
    of("alert_settings", "webhook_secret_sealed", "alert_settings.webhook_secret"),
];

const fn of(table: &'static str, column: &'static str, purpose: &'static str) -> Column {
    Column { table, column, purpose: Purpose::Same(purpose) }
}
