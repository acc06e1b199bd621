//! `trastienda-hub logs …`: what the dashboard's lists show, from the shell.

use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::Value;
use trastienda_protocol::ids::{Id as _, ProjectId};

use super::{payments, refusal, say};
use crate::app::App;
use crate::config::ServeArgs;
use crate::dashboard::mask;
use crate::db::Store;
use crate::http::local::Call;
use crate::{router, serve, telemetry};

/// The API's largest page.
const PAGE: usize = 200;

#[derive(Subcommand)]
pub(super) enum LogsCommand {
    /// E-mails and WhatsApp messages. Addresses are masked.
    Notifications(Box<LogsArgs>),
    /// Deliveries to webhook endpoints.
    Webhooks(Box<LogsArgs>),
    /// Payments.
    Payments(Box<LogsArgs>),
}

#[derive(Args)]
pub(super) struct LogsArgs {
    /// The project.
    #[arg(long)]
    project: String,
    /// From when on: a day (`2026-11-01`, UTC) or a time with an offset (`2026-11-01T08:00:00-03:00`).
    #[arg(long)]
    since: String,
    /// Only those that stand so: `pending`, `sent` or `paid`, `failed`.
    #[arg(long)]
    status: Option<String>,
    /// At most so many, the newest.
    #[arg(long, default_value_t = 1_000)]
    limit: usize,
    /// A JSON document per line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: ServeArgs,
}

/// What is listed: where the API has it, its columns, and what of it may be personal.
struct Kind {
    path: &'static str,
    columns: &'static [&'static str],
    personal: &'static [&'static str],
}

const NOTIFICATIONS: Kind = Kind {
    path: "/v1/notifications",
    columns: &["created_at", "status", "detail", "channel", "template", "order_id", "to", "id"],
    personal: &["/to", "/metadata", "/problem", "/whatsapp"],
};
const WEBHOOKS: Kind = Kind {
    path: "/v1/webhook-deliveries",
    columns: &[
        "created_at",
        "status",
        "attempt_count",
        "last_response_code",
        "last_error",
        "event_type",
        "order_id",
        "id",
    ],
    personal: &[],
};
const PAYMENTS: Kind = Kind {
    path: "/v1/payments",
    columns: &["created_at", "status", "detail", "amount", "currency", "provider", "order_id", "id"],
    personal: &["/description", "/metadata"],
};

impl LogsCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (kind, args) = match self {
            Self::Notifications(args) => (NOTIFICATIONS, args),
            Self::Webhooks(args) => (WEBHOOKS, args),
            Self::Payments(args) => (PAYMENTS, args),
        };
        let (config, store_config) = args.serve.check()?;
        telemetry::start_logs(&args.serve.log)?;
        serve::install_tls();
        let store = Store::open(&store_config).await?;
        let rows = async {
            let app = payments::build(config, &store).await?;
            read(&app, &kind, &args).await
        }
        .await;
        store.close(false).await;
        // As a log: the newest last.
        for row in rows?.iter().rev() {
            say(&if args.json { row.to_string() } else { line(&kind, row) });
        }
        Ok(())
    }
}

/// The rows, newest first, a page after the other.
async fn read(app: &App, kind: &Kind, args: &LogsArgs) -> anyhow::Result<Vec<Value>> {
    let project = ProjectId::parse(&args.project).with_context(|| format!("--project {}", args.project))?;
    let since =
        payments::parse_since(&args.since).context("--since must be a day or a time with an offset")?;
    let shop = Arc::new(app.operations().get(project).await.map_err(refusal)?);
    let api = router::local(app);
    let since = trastienda_protocol::time::format(since);
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    while rows.len() < args.limit {
        let path = {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("created_after", &since);
            query.append_pair("limit", &PAGE.min(args.limit - rows.len()).to_string());
            if let Some(status) = &args.status {
                query.append_pair("status", status);
            }
            if let Some(cursor) = &cursor {
                query.append_pair("cursor", cursor);
            }
            format!("{}?{}", kind.path, query.finish())
        };
        let mut page = api.call(&shop, "command", Call::get(&path)).await.map_err(refusal)?;
        let Value::Array(mut data) = page["data"].take() else { break };
        for row in &mut data {
            mask::mask_at(row, kind.personal);
        }
        rows.append(&mut data);
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    Ok(rows)
}

fn line(kind: &Kind, row: &Value) -> String {
    let column = |name: &&'static str| match &row[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    kind.columns.iter().map(column).collect::<Vec<_>>().join("  ")
}
