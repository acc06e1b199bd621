//! Identifiers: a prefix that names the kind and a UUIDv7 in 32 hex digits, as in
//! `evt_0192f0c1d2e37a4b8c5d6e7f8091a2b3`.
//!
//! A UUIDv7 (RFC 9562, section 5.7) carries the millisecond of its making, so ids sort by time and
//! tables can be partitioned by them. Whoever makes a call makes its id, before the first byte
//! leaves, and repeats it on every retry: the same id in a project is the same thing.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::clock::Clock;

/// Why a string is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be `{prefix}_` and a UUIDv7 in 32 lower-case hex digits")]
pub struct IdError {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

/// What all id kinds have in common.
pub trait Id: Copy + Sized {
    /// The kind's prefix, without the underscore.
    const PREFIX: &'static str;
    /// Wraps a UUID read from trusted storage.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The bare UUID, as databases keep it.
    fn uuid(self) -> Uuid;
    /// Reads an id as callers write it.
    fn parse(text: &str) -> Result<Self, IdError> {
        let error = IdError { prefix: Self::PREFIX };
        let hex = text.strip_prefix(Self::PREFIX).and_then(|rest| rest.strip_prefix('_'));
        let hex =
            hex.filter(|hex| hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        let uuid = hex.and_then(|hex| Uuid::try_parse(hex).ok()).ok_or(error.clone())?;
        if uuid.get_version_num() == 7 { Ok(Self::from_uuid(uuid)) } else { Err(error) }
    }
}

/// The instant that a UUIDv7 carries, to the millisecond.
pub fn timestamp(uuid: Uuid) -> DateTime<Utc> {
    let millis = i64::try_from(uuid.as_u128() >> 80).unwrap_or(i64::MAX);
    DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The smallest UUID of a millisecond: the bound of a range over ids.
pub fn lower_bound(at: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(at.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

/// A source of new ids.
pub trait IdSource: Send + Sync + std::fmt::Debug {
    /// A UUIDv7 for the given instant, different from every other.
    fn uuid(&self, at: DateTime<Utc>) -> Uuid;
}

/// Random `UUIDv7`s from the operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn uuid(&self, at: DateTime<Utc>) -> Uuid {
        let mut random = [0u8; 10];
        // Without randomness the time alone still keeps ids apart from all but the same millisecond's,
        // and the primary key refuses those: better than refusing the shop's call.
        let _ = getrandom::fill(&mut random);
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// A new id of a kind, for now.
pub fn new<I: Id>(source: &dyn IdSource, clock: &dyn Clock) -> I {
    I::from_uuid(source.uuid(clock.now()))
}

macro_rules! define_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl Id for $name {
            const PREFIX: &'static str = $prefix;
            fn from_uuid(uuid: Uuid) -> Self { Self(uuid) }
            fn uuid(self) -> Uuid { self.0 }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.as_simple())
            }
        }
        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> { Self::parse(text) }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(concat!("^", $prefix, "_[0-9a-f]{32}$")))
                    .into()
            }
        }
        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    )*};
}

define_ids! {
    /// A project: one shop.
    ProjectId = "prj";
    /// An event that a shop or the hub reported.
    EventId = "evt";
    /// A webhook endpoint.
    EndpointId = "whe";
    /// The delivery of one event to one endpoint.
    DeliveryId = "whd";
    /// A notification: an e-mail or a WhatsApp link.
    NotificationId = "ntf";
    /// A project's own SMTP account.
    SmtpAccountId = "sma";
    /// One version of a template.
    TemplateId = "tpl";
    /// A payment.
    PaymentId = "pay";
    /// A refund of a payment.
    RefundId = "rfd";
    /// A difference between what a provider and the hub know, for a person to close.
    CaseId = "cas";
    /// Something that the operator is alerted of.
    AlertId = "alr";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let at = DateTime::from_timestamp_millis(1_795_000_000_123).unwrap();
        let id = EventId::from_uuid(RandomIds.uuid(at));
        assert_eq!(EventId::parse(&id.to_string()), Ok(id));
        assert_eq!(timestamp(id.uuid()), at);
        assert!(lower_bound(at) <= id.uuid());
    }

    #[test]
    fn other_prefixes_versions_and_spellings_are_refused() {
        let v4 = "evt_936da01f9abd4d9d80c702af85c822a8";
        for text in [
            "",
            "evt_",
            "pay_0192f0c1d2e37a4b8c5d6e7f8091a2b3",
            v4,
            "evt_0192F0C1D2E37A4B8C5D6E7F8091A2B3",
            "evt_0192f0c1-d2e3-7a4b-8c5d-6e7f8091a2b3",
        ] {
            assert_eq!(EventId::parse(text), Err(IdError { prefix: "evt" }), "{text}");
        }
    }
}
