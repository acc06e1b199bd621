//! Notifications: an e-mail, or a WhatsApp link that a person taps.
//!
//! Invariants:
//! - What is accepted is rendered and checked ([`accept`]): sending finds no missing variable and no bad address. Calls that
//!   come together share a transaction.
//! - One id, or one `Idempotency-Key`, in a project is one notification. The row is the job.
//! - A mail is `sent` when an SMTP server took it ([`send`]). What was in flight when a hub died may repeat, with the
//!   same Message-ID. A dead server delays nobody else's mail ([`smtp`]).
//! - WhatsApp is never claimed to have delivered anything: `sent` there means that a person opened the link ([`open`]).
//! - Past its `expires_at` nothing is sent ([`expire`]). The end is told as an event, in the same transaction ([`over`]).
//! - Past the plan's retention addresses and contents are deleted ([`blank`]). Logs hold neither.
//!
//! Another channel is a file in [`channel`], another way to hand mail over a [`channel::Transport`].
//!
//! What it does not do: it never learns whether a mail was read, and it speaks to WhatsApp's servers not at all.

pub mod accept;
mod batch;
pub(crate) mod blank;
pub(crate) mod channel;
pub mod expire;
pub mod model;
pub mod open;
mod over;
mod phone;
pub(crate) mod render;
pub mod routes;
pub mod send;
pub mod settings;
pub mod smtp;
pub(crate) mod store;
pub mod suppressions;
pub mod templates;

use anyhow::Context as _;
use trastienda_protocol::ids::{Id as _, NotificationId, ProjectId};
use trastienda_protocol::notification::Channel;

pub(crate) use batch::batch;

use crate::app::App;
use crate::http::Result;
use crate::queue::worker;
use model::Notification;

/// Starts the slice's work. Without an SMTP server, mail waits for one.
pub fn start(app: &App) {
    accept::Gate::start(app);
    worker::start(app, expire::Expiry::new(app));
    match send::Emails::new(app) {
        Ok(emails) => {
            worker::start(app, emails);
        }
        Err(error) => tracing::error!(error, "e-mail stays pending"),
    }
}

/// A row as callers see it.
fn show(app: &App, row: store::Row) -> Result<Notification> {
    let id = NotificationId::from_uuid(row.id);
    let project = ProjectId::from_uuid(row.project_id);
    let channel = Channel::parse(&row.channel)
        .with_context(|| format!("notifications.channel of {id} is `{}`", row.channel))?;
    let is_due = channel == Channel::Email && row.status == "pending";
    Ok(Notification {
        id,
        channel,
        to: row.recipient,
        detail: row.detail,
        template: row.template,
        template_version: row.template_version,
        locale: row.locale,
        order_id: row.order_id,
        metadata: row.metadata,
        whatsapp: row.link.map(|link| channel::whatsapp::link(app, project, id, link)),
        attempt_count: row.attempts,
        next_attempt_at: is_due.then_some(row.run_at),
        expires_at: row.expires_at,
        problem: row.problem,
        created_at: row.created_at,
        finished_at: row.finished_at,
        blanked_at: row.blanked_at,
        status: row.status,
    })
}
