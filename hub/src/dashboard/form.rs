//! What a form sends. Reading it is checking its CSRF token: no handler can forget to.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;

use super::desk::Desk;
use super::session::Operator;
use crate::http::{Error, body};

const FORM_MAX: usize = 1024 * 1024;
/// What is read of somebody who need not have logged in: never of the memory that large bodies share.
pub(super) const STRANGERS_MAX: usize = 16 * 1024;
const TOKEN_FIELD: &str = "csrf";

/// Fields by name; of several with one name the last.
#[derive(Default)]
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// A field that was filled in.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// A field as it came, empty when it did not.
    pub(super) fn raw(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn parse(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    pub(super) async fn read(request: Request, max: usize) -> Result<Self, Error> {
        Ok(Self::parse(&body::read(request.into_body(), max).await?))
    }
}

/// A form that a logged-in operator sent from one of our pages.
pub(super) struct Sent {
    pub(super) operator: Operator,
    pub(super) form: Form,
}

impl FromRequest<Desk> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, desk: &Desk) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let operator = Operator::from_request_parts(&mut parts, desk).await?;
        from_here(&parts.headers, desk).map_err(axum::response::IntoResponse::into_response)?;
        let request = Request::from_parts(parts, body);
        let form =
            Form::read(request, FORM_MAX).await.map_err(axum::response::IntoResponse::into_response)?;
        if !bool::from(form.raw(TOKEN_FIELD).as_bytes().ct_eq(operator.csrf.as_bytes())) {
            return Err(
                foreign("the form's token is not this session's: load the page again").into_response()
            );
        }
        Ok(Self { operator, form })
    }
}

/// Refuses what another site's page sent. Browsers say where a form comes from; what says nothing is no browser.
pub(super) fn from_here(headers: &HeaderMap, desk: &Desk) -> Result<(), Error> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = text("origin").is_none_or(|origin| {
        let given = url::Url::parse(origin).ok();
        let public = desk.app.config.public_url.origin();
        let host = text(header::HOST.as_str()).unwrap_or_default();
        given.is_some_and(|given| given.origin() == public || authority(&given) == host)
    });
    if site && origin { Ok(()) } else { Err(foreign("the form was sent from another site")) }
}

fn authority(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn foreign(detail: &str) -> Error {
    Error::Forbidden { code: "foreign_form", detail: detail.to_owned() }
}
