//! What every page has at hand: the hub, its API, the pages, and who is asking.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::response::{Html, IntoResponse as _, Response};
use serde_json::{Value, json};
use trastienda_protocol::ids::{Id as _, ProjectId};

use super::pages::{Lang, Pages};
use super::session::Operator;
use crate::app::App;
pub(super) use crate::http::local::Call;
use crate::http::local::LocalApi;
use crate::http::{Error, Result};
use crate::projects::model::ProjectContext;

/// A cheap handle on it.
#[derive(Clone)]
pub(super) struct Desk(Arc<Inner>);

pub(super) struct Inner {
    pub(super) app: App,
    pub(super) pages: Pages,
    pub(super) charts: Mutex<Option<(Instant, Value)>>,
    api: LocalApi,
}

impl Deref for Desk {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Desk {
    pub(super) fn new(app: &App, api: LocalApi) -> Self {
        let charts = Mutex::default();
        Self(Arc::new(Inner { app: app.clone(), pages: Pages::new(), charts, api }))
    }

    /// Calls the API as a shop; it is noted which operator did so.
    pub(super) async fn call(
        &self,
        operator: &Operator,
        shop: &Arc<ProjectContext>,
        call: Call<'_>,
    ) -> Result<Value> {
        self.api.call(shop, &operator.name, call).await
    }

    /// A shop by what stands in the address.
    pub(super) async fn shop(&self, text: &str) -> Result<Arc<ProjectContext>> {
        let id = ProjectId::parse(text).map_err(|_| Error::NotFound("project"))?;
        Ok(Arc::new(self.app.operations().get(id).await?))
    }

    /// A page; `context` is an object.
    pub(super) fn page(&self, operator: &Operator, name: &str, mut context: Value) -> Result<Response> {
        context["operator"] = json!({"name": operator.name, "csrf": operator.csrf});
        context["version"] = env!("CARGO_PKG_VERSION").into();
        context["now"] = trastienda_protocol::time::format(self.app.clock.now()).into();
        self.bare_page(&operator.look, name, context)
    }

    /// A page for somebody who may not be logged in.
    pub(super) fn bare_page(&self, look: &Look, name: &str, mut context: Value) -> Result<Response> {
        context["lang"] = look.lang.as_str().into();
        context["theme"] = look.theme.into();
        context["path"] = look.path.clone().into();
        Ok(Html(self.pages.render(look.lang, name, &context)?).into_response())
    }

    /// The charts, counted at most once in a while.
    pub(super) fn kept_charts(&self) -> Option<Value> {
        let kept = self.charts.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(at, _)| at.elapsed() < super::CHARTS_KEPT).map(|(_, charts)| charts.clone())
    }

    pub(super) fn keep_charts(&self, charts: &Value) {
        *self.charts.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), charts.clone()));
    }
}

/// How somebody wants to see pages, and which one they are on.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) lang: Lang,
    /// `light`, `dark`, or empty for the system's.
    pub(super) theme: &'static str,
    pub(super) path: String,
}

/// What pages say of a shop.
pub(super) fn shop_json(shop: &ProjectContext) -> Value {
    let project = &shop.project;
    json!({
        "id": project.id, "name": project.name, "domain": project.domain, "mode": project.mode,
        "plan": project.plan, "is_active": project.is_active, "created_at": trastienda_protocol::time::format(project.created_at),
    })
}
