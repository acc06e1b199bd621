//! The seller accounts: whose token a call carries, and what `GET /users/me` says about them.
//!
//! Two sellers always exist, with the same credentials in every run, so that a shop's configuration can be
//! written down once. A call never sees another seller's things: they answer as if they did not exist.

use std::sync::Arc;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::ApiError;
use crate::ids::IdSource;
use crate::sites::{self, Site};

/// A seller and their credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seller {
    /// The account's number, `collector_id` in payments.
    pub user_id: i64,
    /// The country, `MLA`, `MLB` and so on.
    pub site: String,
    /// The account's name.
    pub nickname: String,
    /// The account's address.
    pub email: String,
    /// The secret the seller's backend calls with.
    pub access_token: String,
    /// What a browser makes card tokens with.
    pub public_key: String,
    /// What notices are signed with.
    pub webhook_secret: String,
    /// Where notices go when neither payment nor preference names an address.
    pub webhook_url: Option<String>,
}

/// What `POST /control/sellers` takes; everything left out is made up from the seed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSeller {
    pub(crate) site: Option<String>,
    pub(crate) user_id: Option<i64>,
    pub(crate) nickname: Option<String>,
    pub(crate) access_token: Option<String>,
    pub(crate) public_key: Option<String>,
    pub(crate) webhook_secret: Option<String>,
    pub(crate) webhook_url: Option<String>,
}

impl Seller {
    /// The two that every run starts with.
    pub fn known() -> Vec<Self> {
        vec![
            Self::fixed(2_100_000_001, "MLA", "a1b2c3d4e5f60718293a4b5c6d7e8f90"),
            Self::fixed(2_100_000_002, "MLB", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ]
    }

    fn fixed(user_id: i64, site: &str, hex: &str) -> Self {
        let lower = site.to_lowercase();
        Self {
            user_id,
            site: site.to_owned(),
            nickname: format!("TESTSELLER{site}"),
            email: format!("test_seller_{lower}@testuser.com"),
            access_token: format!("APP_USR-1000000000000001-112400-{hex}-{user_id}"),
            public_key: format!("APP_USR-{lower}-public-key"),
            webhook_secret: format!("sim_webhook_secret_{lower}"),
            webhook_url: None,
        }
    }

    /// Fills in what was left out. `None` when the country is unknown.
    pub(crate) fn made(new: NewSeller, ids: &mut IdSource) -> Option<Self> {
        let site = sites::find(new.site.as_deref().unwrap_or("MLA"))?;
        let user_id = new.user_id.unwrap_or_else(|| ids.user());
        let draws = ids.draws();
        Some(Self {
            user_id,
            site: site.id.to_owned(),
            nickname: new.nickname.unwrap_or_else(|| format!("TESTSELLER{user_id}")),
            email: format!("test_seller_{user_id}@testuser.com"),
            access_token: new
                .access_token
                .unwrap_or_else(|| format!("APP_USR-1000000000000001-112400-{}-{user_id}", draws.hex())),
            public_key: new.public_key.unwrap_or_else(|| format!("APP_USR-{}", draws.uuid())),
            webhook_secret: new.webhook_secret.unwrap_or_else(|| format!("{}{}", draws.hex(), draws.hex())),
            webhook_url: new.webhook_url,
        })
    }

    /// The country of the seller; sellers of unknown countries cannot be made.
    pub(crate) fn site(&self) -> Option<&'static Site> {
        sites::find(&self.site)
    }

    /// As the control interface shows a seller, with the secrets a developer needs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "user_id": self.user_id,
            "site": self.site,
            "nickname": self.nickname,
            "email": self.email,
            "access_token": self.access_token,
            "public_key": self.public_key,
            "webhook_secret": self.webhook_secret,
            "webhook_url": self.webhook_url,
        })
    }
}

/// The seller whose access token the call carries, and their country.
pub(crate) struct Caller {
    pub(crate) seller: Seller,
    pub(crate) site: &'static Site,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        let header = parts.headers.get(AUTHORIZATION).ok_or_else(ApiError::no_authorization)?;
        let token = header
            .to_str()
            .ok()
            .and_then(|header| header.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(ApiError::invalid_token)?;
        app.change(|state, _| state.seller_of(token).cloned())
            .and_then(|seller| seller.site().map(|site| Self { seller, site }))
            .ok_or_else(ApiError::invalid_token)
    }
}

/// `GET /users/me`
pub(crate) async fn me(Caller { seller, site }: Caller) -> Json<Value> {
    Json(json!({
        "id": seller.user_id,
        "nickname": seller.nickname,
        "first_name": "Test",
        "last_name": "Seller",
        "email": seller.email,
        "country_id": site.country,
        "site_id": site.id,
        "user_type": "normal",
        "tags": ["normal", "test_user"],
        "status": {"site_status": "active"},
        "secure_email": null,
        "logo": null,
    }))
}

/// `GET /v1/payment_methods`
pub(crate) async fn payment_methods(Caller { site, .. }: Caller) -> Json<Value> {
    Json(site.methods.iter().map(|method| method.json(site.decimals)).collect())
}
