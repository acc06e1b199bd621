//! A template: its versions, what differs between them, an editor, and how it would look with a real past order.

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::{Map, Value, json};
use trastienda_protocol::ids::Id as _;
use trastienda_protocol::problem::FieldError;

use super::desk::{Call, Desk, shop_json};
use super::form::{Form, Sent};
use super::session::Operator;
use super::{audit, frame, lists, store};
use crate::http::{Error, Result};
use crate::notifications::render;
use crate::notifications::settings::Settings;
use crate::notifications::templates::own_variables;

fn checked_name(name: &str) -> Result<()> {
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if is_name { Ok(()) } else { Err(Error::NotFound("template")) }
}

/// The editor: of the version that was asked for, or of the one that is in use.
pub(super) async fn show(
    State(desk): State<Desk>,
    operator: Operator,
    Path((project, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    checked_name(&name)?;
    let shop = desk.shop(&project).await?;
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let asked =
        ["version", "channel", "locale"].into_iter().filter_map(|name| Some((name, query.get(name)?)));
    let path = format!("/v1/templates/{name}?{}", lists::query_of(asked));
    let it = match desk.call(&operator, &shop, Call::get(&path)).await {
        Ok(it) => it,
        // A name that nothing has yet is a new template.
        Err(Error::Problem(problem)) if problem.status == 404 && query.get("new").is_some() => json!({
            "name": name, "version": null, "builtin": false, "channel": query.get("new").unwrap_or("email"), "locale": "es",
            "subject": "", "html": null, "mjml": null, "text": "", "variables": [], "sample": {}, "active": false,
        }),
        Err(error) => return Err(error),
    };
    let path = format!("/v1/templates?limit=50&name={name}");
    let versions = desk.call(&operator, &shop, Call::get(&path)).await?;
    let diff = match (query.get("from"), query.get("version")) {
        (Some(from), Some(to)) => {
            let channel = it["channel"].as_str().unwrap_or("email");
            let asked = lists::query_of([("from", from), ("to", to), ("channel", channel)].into_iter());
            let path = format!("/v1/templates/{name}/diff?{asked}");
            desk.call(&operator, &shop, Call::get(&path)).await?
        }
        _ => Value::Null,
    };
    let mut conn = desk.app.db.acquire().await?;
    let orders = store::list_recent_orders(&mut conn, shop.project.id.uuid()).await?;
    let context = json!({
        "shop": shop_json(&shop), "section": "templates", "it": it, "versions": versions["data"], "diff": diff,
        "orders": orders, "done": lists::done(&query), "number": 0,
    });
    desk.page(&operator, "template.html", context)
}

/// Makes a version of what is in the editor; it becomes the active one only when somebody says so.
pub(super) async fn save(
    State(desk): State<Desk>,
    Path((project, name)): Path<(String, String)>,
    Sent { operator, form }: Sent,
) -> Result<Response> {
    checked_name(&name)?;
    let shop = desk.shop(&project).await?;
    let mut body = Map::new();
    for field in ["channel", "locale", "subject", "html", "mjml", "text"] {
        if let Some(value) = form.get(field) {
            // Browsers send line ends as two characters.
            body.insert(field.to_owned(), value.replace("\r\n", "\n").into());
        }
    }
    if let Some(sample) = form.get("sample") {
        let sample: Value = serde_json::from_str(sample)
            .map_err(|error| Error::field("/sample", format!("is not JSON: {error}")))?;
        if sample.as_object().is_none_or(|sample| !sample.is_empty()) {
            body.insert("sample".to_owned(), sample);
        }
    }
    let mut conn = desk.app.db.acquire().await?;
    let entry = audit::Entry {
        action: "templates.saved",
        project: Some(shop.project.id),
        subject: Some(&name),
        outcome: "started",
        address: None,
    };
    let written = audit::write(&desk, &mut conn, &operator.name, entry).await?;
    let path = format!("/v1/templates/{name}");
    let call = Call {
        method: axum::http::Method::PUT,
        path: &path,
        body: Some(Value::Object(body)),
        idempotency_key: None,
    };
    let made = desk.call(&operator, &shop, call).await;
    let outcome = made.as_ref().err().map_or_else(|| "ok".to_owned(), |error| error.problem().code);
    store::finish_audit(&mut conn, written, &outcome).await?;
    let version = made?["version"].as_i64().unwrap_or(0);
    Ok(Redirect::to(&format!("/shops/{project}/templates/{name}?version={version}&done=saved"))
        .into_response())
}

/// What is in the editor, rendered with a past order, or with the sample.
pub(super) async fn preview(
    State(desk): State<Desk>,
    Path((project, name)): Path<(String, String)>,
    Sent { operator, form }: Sent,
) -> Result<Response> {
    checked_name(&name)?;
    let shop = desk.shop(&project).await?;
    let mut data: Map<String, Value> =
        serde_json::from_str(form.get("sample").unwrap_or("{}")).unwrap_or_default();
    let mut conn = desk.app.db.acquire().await?;
    if let Some(order) = form.get("order") {
        // It shows a customer's order: that is noted.
        let entry = audit::Entry {
            action: "templates.previewed",
            project: Some(shop.project.id),
            subject: Some(order),
            ..audit::Entry::default()
        };
        audit::write(&desk, &mut conn, &operator.name, entry).await?;
        for event in store::list_order_data(&mut conn, shop.project.id.uuid(), order).await? {
            if let Value::Object(fields) = event {
                data.extend(fields);
            }
        }
    }
    let settings = Settings::of(&mut conn, shop.project.id).await?;
    drop(conn);
    let rendered = rendered(&form, &settings, &data, &own_variables(&shop.project)).await;
    let context = match rendered {
        Ok(rendered) => {
            let text = rendered.text.or_else(|| rendered.html.as_deref().map(render::text_of_html));
            json!({"subject": rendered.subject, "html": rendered.html, "text": text, "errors": []})
        }
        Err(errors) => json!({"subject": null, "html": null, "text": null, "errors": errors}),
    };
    let mut page = desk.page(&operator, "preview.html", context)?;
    // A document of its own: the frame around it lets nothing run either.
    page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(frame::PREVIEW));
    Ok(page)
}

async fn rendered(
    form: &Form,
    settings: &Settings,
    data: &Map<String, Value>,
    own: &Map<String, Value>,
) -> std::result::Result<render::Rendered, Vec<FieldError>> {
    let html = match (form.get("mjml"), form.get("html")) {
        (Some(mjml), _) => Some(render::compile::compile_mjml(mjml.to_owned()).await?),
        (None, Some(html)) => {
            render::compile::inline_html(html.to_owned()).await?.or_else(|| Some(html.to_owned()))
        }
        (None, None) => None,
    };
    let parts = render::Parts { subject: form.get("subject"), html: html.as_deref(), text: form.get("text") };
    let wrong = render::check_syntax(parts);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let manner = render::Manner { locale: form.get("locale").unwrap_or("es"), time_zone: settings.zone() };
    render::render(parts, manner, "", data, own)
}
