//! Who is calling: a project by its API key, or the operator by the admin token.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;
use trastienda_protocol::api_key::ApiKey;

use super::Error;
use super::rate_limit;
use crate::app::App;
use crate::fleet::Scope;
use crate::projects::model::ProjectContext;
use crate::projects::verifier::Rejected;
use crate::webhooks::pull;

/// The header that carries the key.
pub const API_KEY_HEADER: &str = "x-api-key";

/// The project that is calling.
#[derive(Debug, Clone)]
pub struct Caller(pub Arc<ProjectContext>);

impl Deref for Caller {
    type Target = ProjectContext;

    fn deref(&self) -> &ProjectContext {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| {
            Error::Internal(anyhow::anyhow!("a route that needs a project is outside its layer"))
        })
    }
}

/// The public part of the key that is calling: who did something, without the secret.
#[derive(Debug, Clone)]
pub struct KeyId(pub String);

impl<S: Sync> FromRequestParts<S> for KeyId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        // Who acts for a project from within the hub says so itself.
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let key = given_key(&parts.headers).and_then(|given| ApiKey::parse(given).ok());
        key.map(|key| Self(key.key_id().to_owned())).ok_or_else(|| {
            Error::Internal(anyhow::anyhow!("a route that needs a project is outside its layer"))
        })
    }
}

/// Lets only active projects through, within their rate limit.
pub async fn require_project(State(app): State<App>, request: Request, next: Next) -> Response {
    admit(&app, request, next, |caller| (Scope::Requests, caller.limits.requests_per_minute)).await
}

/// The same for what an agent asks of its own accord, which is not the shop's and has a bucket of its own.
pub async fn require_agent(State(app): State<App>, request: Request, next: Next) -> Response {
    admit(&app, request, next, |_| (Scope::Agents, pull::CALLS_PER_MINUTE)).await
}

async fn admit(
    app: &App,
    mut request: Request,
    next: Next,
    limit: impl FnOnce(&Caller) -> (Scope, u32),
) -> Response {
    let caller = match authenticate(app, request.headers()).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    tracing::Span::current().record("project.id", tracing::field::display(caller.project.id));
    let (scope, per_minute) = limit(&caller);
    let state = match rate_limit::check(app, caller.project.id, scope, per_minute).await {
        Ok(state) => state,
        Err(refused) => return refused.into_response(),
    };
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    state.write(response.headers_mut());
    response
}

async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Caller, Error> {
    authenticate_key(app, &given_api_key(headers)?).await
}

/// The key that came with a request.
pub(crate) fn given_api_key(headers: &HeaderMap) -> Result<ApiKey, Error> {
    let given = given_key(headers)
        .ok_or(Error::Unauthorized("send the project's API key as `X-API-KEY` or `Authorization: Bearer`"))?;
    ApiKey::parse(given).map_err(|_| Error::Unauthorized("the API key is malformed: it was mistyped or cut"))
}

/// Whose key it is, if it is still good.
pub(crate) async fn authenticate_key(app: &App, key: &ApiKey) -> Result<Caller, Error> {
    match app.verifier.verify(&app.db, key, app.clock.now()).await {
        Ok(context) => Ok(Caller(context)),
        Err(Rejected::Unknown) => {
            Err(Error::Unauthorized("the API key is not known: it was never issued, or it was rotated"))
        }
        Err(Rejected::Inactive) => Err(Error::Forbidden {
            code: "project_inactive",
            detail: "the project is deactivated; its operator can activate it".to_owned(),
        }),
        Err(Rejected::Throttled(retry_after)) => Err(Error::TooMany {
            code: "rate_limited",
            detail: "too many wrong secrets for this key".to_owned(),
            retry_after,
        }),
        Err(Rejected::Failed(error)) => match error.downcast::<sqlx::Error>() {
            Ok(error) => Err(error.into()),
            Err(error) => Err(error.into()),
        },
    }
}

fn given_key(headers: &HeaderMap) -> Option<&str> {
    let key = headers.get(API_KEY_HEADER).and_then(|value| value.to_str().ok());
    key.or_else(|| bearer(headers)).filter(|key| !key.is_empty())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Lets only the operator through. Without an admin token there is no such address.
pub async fn require_operator(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(expected) = &app.config.admin_token else {
        return Error::NotFound("address").into_response();
    };
    if is_operator(request.headers(), expected.expose_secret()) {
        next.run(request).await
    } else {
        Error::Unauthorized("send the admin token as `Authorization: Bearer`").into_response()
    }
}

fn is_operator(headers: &HeaderMap, expected: &str) -> bool {
    bearer(headers).is_some_and(|given| given.as_bytes().ct_eq(expected.as_bytes()).into())
}
