//! Problem documents (RFC 9457): how every refusal is answered.

use serde::{Deserialize, Serialize};

/// The media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What is wrong with one field of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field, as `/data/order_id`.
    pub pointer: String,
    /// Why it is refused and what would be right.
    pub message: String,
    /// Whether the field itself is unknown (and the rest of the body may be right).
    #[serde(skip)]
    pub is_unknown_field: bool,
}

impl FieldError {
    /// A field whose value is refused.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into(), is_unknown_field: false }
    }
}

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A URN made of the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The problem in a few words, the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence, for a person.
    pub detail: String,
    /// Stable, in `snake_case`, for programs.
    pub code: String,
    /// The request that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// All that is wrong with the body, when validation refused it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// A problem without field errors.
    pub fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:trastienda:problem:{code}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            code: code.to_owned(),
            request_id: None,
            errors: Vec::new(),
        }
    }

    /// A body whose fields are refused: 422, `unknown_field` when nothing else is wrong with it,
    /// `validation_failed` otherwise.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let only_unknown = !errors.is_empty() && errors.iter().all(|error| error.is_unknown_field);
        let named = errors.iter().map(|error| format!("`{}`", error.pointer)).collect::<Vec<_>>().join(", ");
        let problem = if only_unknown {
            Self::new(
                422,
                "unknown_field",
                "Unknown field",
                format!("the body has fields that are not known here: {named}"),
            )
        } else {
            Self::new(
                422,
                "validation_failed",
                "Validation failed",
                format!("the body is refused because of {named}"),
            )
        };
        Self { errors, ..problem }
    }

    /// A body that is not JSON at all.
    pub fn invalid_json(error: &serde_json::Error) -> Self {
        Self::new(400, "invalid_json", "Invalid JSON", format!("the body is not valid JSON: {error}"))
    }

    /// Money needs a key: a repeat without one could charge twice.
    pub fn idempotency_key_required() -> Self {
        Self::new(
            400,
            "idempotency_key_required",
            "Idempotency key required",
            "send an `Idempotency-Key` header made from the order and the attempt, so that a retry cannot charge twice",
        )
    }

    /// An `Idempotency-Key` that is empty, too long or not printable.
    pub fn invalid_idempotency_key() -> Self {
        Self::new(
            400,
            "invalid_idempotency_key",
            "Invalid idempotency key",
            "`Idempotency-Key` must be 1 to 255 printable ASCII characters",
        )
    }

    /// A body over its limit.
    pub fn too_large(limit: usize) -> Self {
        Self::new(413, "body_too_large", "Body too large", format!("the body may have at most {limit} bytes"))
    }
}
