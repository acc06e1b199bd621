//! Checking and rendering: from a request to a row that has all that sending needs.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::ids::{Id as _, NotificationId, ProjectId};
use trastienda_protocol::notification::{Channel, NewNotification};
use trastienda_protocol::problem::FieldError;

use crate::app::App;
use crate::http::{Error, Result};
use crate::notifications::channel::{email, whatsapp};
use crate::notifications::render::{self, Manner, Rendered};
use crate::notifications::settings::Settings;
use crate::notifications::smtp::senders;
use crate::notifications::store::{self, NewRow};
use crate::notifications::templates::{self, Found, Wanted};
use crate::projects::model::ProjectContext;

/// How long a WhatsApp link waits for somebody to tap it.
const WHATSAPP_EXPIRES: TimeDelta = TimeDelta::days(7);

/// What is to become a row.
pub(super) struct Request<'a> {
    pub(super) id: NotificationId,
    pub(super) new: &'a NewNotification,
    pub(super) fingerprint: [u8; 32],
    pub(super) now: DateTime<Utc>,
}

/// What was looked up within one transaction.
#[derive(Default)]
pub(super) struct Lookups {
    settings: HashMap<ProjectId, Arc<Settings>>,
    templates: HashMap<Asked, Arc<Found>>,
}

type Asked = (ProjectId, String, Channel, Option<i32>, Option<String>);

impl Lookups {
    async fn settings(&mut self, conn: &mut PgConnection, project: ProjectId) -> Result<Arc<Settings>> {
        if let Some(settings) = self.settings.get(&project) {
            return Ok(settings.clone());
        }
        let settings = Arc::new(Settings::of(conn, project).await?);
        self.settings.insert(project, settings.clone());
        Ok(settings)
    }

    async fn template(
        &mut self,
        conn: &mut PgConnection,
        project: ProjectId,
        wanted: Wanted<'_>,
    ) -> Result<Arc<Found>> {
        let locale = wanted.locale.map(str::to_owned);
        let asked = (project, wanted.name.to_owned(), wanted.channel, wanted.version, locale);
        if let Some(found) = self.templates.get(&asked) {
            return Ok(found.clone());
        }
        let found = Arc::new(templates::lookup(conn, project, wanted).await?);
        self.templates.insert(asked, found.clone());
        Ok(found)
    }
}

/// Renders and checks; the row is all that sending needs.
pub(super) async fn prepare(
    app: &App,
    conn: &mut PgConnection,
    lookups: &mut Lookups,
    context: &ProjectContext,
    request: Request<'_>,
) -> Result<NewRow> {
    let Request { id, new, fingerprint, now } = request;
    let project = context.project.id;
    let mut errors = Vec::new();
    let settings = lookups.settings(conn, project).await?;
    let phone = match new.channel {
        Channel::Email => {
            errors.extend(email::check(new));
            None
        }
        Channel::Whatsapp => whatsapp::recipient(&new.to, settings.country())
            .await
            .map_err(|message| errors.push(FieldError::new("/to", message)))
            .ok(),
    };
    if let Some(from) = &new.from
        && !may_write_as(app, conn, context, from).await?
    {
        let message = "may not be used through this hub's SMTP server: use the project's own domain, add an SMTP account, or ask the operator";
        errors.push(FieldError::new("/from", message));
    }
    for (index, file) in new.attachments.iter().enumerate() {
        let url = file.url.as_deref().and_then(|url| url.parse().ok());
        if let Some(url) = url
            && let Err(refused) = app.outbound.check_url(&url).await
        {
            errors.push(FieldError::new(format!("/attachments/{index}/url"), refused.to_string()));
        }
    }
    let texts = match texts(conn, lookups, context, &settings, new).await {
        Ok(texts) => Some(texts),
        Err(Error::Invalid(wrong)) => {
            errors.extend(wrong);
            None
        }
        Err(other) => return Err(other),
    };
    let (Some(texts), true) = (texts, errors.is_empty()) else { return Err(errors.into()) };
    let send_at = new.send_at.unwrap_or(now).max(now);
    let mut row = NewRow {
        project,
        id,
        channel: new.channel.as_str(),
        recipient: new.to.clone(),
        payload: Value::Null,
        template: new.template.clone(),
        template_version: texts.version,
        locale: texts.locale,
        order_id: new.order_id.clone(),
        metadata: Value::Object(new.metadata.clone()),
        status: "pending",
        detail: None,
        problem: None,
        open_token_hash: None,
        run_at: send_at,
        expires_at: new.expires_at,
        fingerprint,
        created_at: now,
        finished_at: None,
    };
    if let Some(phone) = phone {
        let payload = whatsapp::payload(&phone, &texts.rendered.text.unwrap_or_default());
        row.payload = serde_json::to_value(payload).map_err(anyhow::Error::from)?;
        row.recipient = phone.e164();
        row.open_token_hash = Some(whatsapp::token_hash(&whatsapp::open_token(app, project, id)).to_vec());
        row.expires_at = Some(new.expires_at.unwrap_or(send_at + WHATSAPP_EXPIRES));
    } else {
        let payload = email::payload(new, texts.rendered);
        row.payload = serde_json::to_value(payload).map_err(anyhow::Error::from)?;
    }
    Ok(row)
}

/// Through its own accounts a project writes as it likes. What is no address is told elsewhere.
async fn may_write_as(
    app: &App,
    conn: &mut PgConnection,
    context: &ProjectContext,
    from: &str,
) -> Result<bool> {
    let Some(from) = email::parse_mailbox(from) else { return Ok(true) };
    if store::has_enabled_account(conn, context.project.id).await? {
        return Ok(true);
    }
    let project = (context.project.id.uuid(), context.project.domain.as_str());
    Ok(senders::is_allowed(conn, project, &app.config.mail_from, &from).await?)
}

struct Texts {
    rendered: Rendered,
    version: Option<i32>,
    locale: Option<String>,
}

/// The texts of a request: its own, or its template's with its data.
async fn texts(
    conn: &mut PgConnection,
    lookups: &mut Lookups,
    context: &ProjectContext,
    settings: &Settings,
    new: &NewNotification,
) -> Result<Texts> {
    let texts = match &new.template {
        None => {
            let rendered =
                Rendered { subject: new.subject.clone(), html: new.html.clone(), text: new.text.clone() };
            Texts { rendered, version: None, locale: new.locale.clone() }
        }
        Some(name) => {
            let wanted = Wanted {
                name,
                channel: new.channel,
                version: new.template_version,
                locale: new.locale.as_deref(),
                default_locale: &settings.locale,
            };
            let found = lookups.template(conn, context.project.id, wanted).await?;
            let own = templates::own_variables(&context.project);
            // Amounts are written as in the locale that was asked for, even where the words fall back.
            let written_in = new.locale.as_deref().unwrap_or(&found.locale);
            let manner = Manner { locale: written_in, time_zone: settings.zone() };
            let rendered = render::render(found.parts(), manner, "/data", &new.data, &own)?;
            Texts { rendered, version: Some(found.version), locale: Some(found.locale.clone()) }
        }
    };
    if new.channel == Channel::Whatsapp {
        let length = texts.rendered.text.as_deref().unwrap_or_default().chars().count();
        if length == 0 || length > whatsapp::TEXT_MAX {
            let pointer = if new.template.is_some() { "/data" } else { "/text" };
            let message =
                format!("makes a message of {length} characters; WhatsApp takes 1 to {}", whatsapp::TEXT_MAX);
            return Err(Error::field(pointer, message));
        }
    } else if texts.rendered.subject.as_deref().unwrap_or_default().is_empty() {
        return Err(Error::field("/data", "makes an empty subject"));
    }
    Ok(texts)
}
