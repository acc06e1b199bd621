//! Checking and rendering: from a request to a row that has all that sending needs.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use trastienda_protocol::ids::{NotificationId, ProjectId};
use trastienda_protocol::notification::{Channel as Kind, NewNotification};

use crate::app::App;
use crate::http::{Error, Result};
use crate::notifications::channel::email::Email;
use crate::notifications::channel::whatsapp::Whatsapp;
use crate::notifications::channel::{Channel, Checking};
use crate::notifications::render::{self, Manner, Rendered};
use crate::notifications::settings::Settings;
use crate::notifications::store::NewRow;
use crate::notifications::templates::{self, Found, Wanted};
use crate::projects::model::ProjectContext;

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

type Asked = (ProjectId, String, Kind, Option<i32>, Option<String>);

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
    match request.new.channel {
        Kind::Email => prepare_by::<Email>(app, conn, lookups, context, request).await,
        Kind::Whatsapp => prepare_by::<Whatsapp>(app, conn, lookups, context, request).await,
    }
}

async fn prepare_by<C: Channel>(
    app: &App,
    conn: &mut PgConnection,
    lookups: &mut Lookups,
    context: &ProjectContext,
    request: Request<'_>,
) -> Result<NewRow> {
    let Request { id, new, fingerprint, now } = request;
    let project = context.project.id;
    let settings = lookups.settings(conn, project).await?;
    let mut errors = Vec::new();
    let checking = Checking { app, conn: &mut *conn, context, settings: &settings, new };
    let to = C::check(checking, &mut errors).await?;
    let texts = match texts::<C>(conn, lookups, context, &settings, new).await {
        Ok(texts) => Some(texts),
        Err(Error::Invalid(wrong)) => {
            errors.extend(wrong);
            None
        }
        Err(other) => return Err(other),
    };
    let (Some(texts), Some(to), true) = (texts, to, errors.is_empty()) else { return Err(errors.into()) };
    let mut row = NewRow {
        project,
        id,
        channel: new.channel.as_str(),
        recipient: String::new(),
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
        run_at: new.send_at.unwrap_or(now).max(now),
        expires_at: new.expires_at,
        fingerprint,
        created_at: now,
        finished_at: None,
    };
    C::fill(app, &mut row, new, to, texts.rendered)?;
    Ok(row)
}

struct Texts {
    rendered: Rendered,
    version: Option<i32>,
    locale: Option<String>,
}

/// The texts of a request: its own, or its template's with its data.
async fn texts<C: Channel>(
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
    match C::check_texts(new, &texts.rendered) {
        Some(error) => Err(vec![error].into()),
        None => Ok(texts),
    }
}
