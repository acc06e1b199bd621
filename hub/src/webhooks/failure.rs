//! What went wrong with an attempt: a class for programs and a sentence for people, without the address: that may
//! hold a token.

use crate::outbound::{Refused, SendError};
use crate::seal::SealError;

/// Why there was no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("the endpoint's secrets cannot be opened: {0}")]
    Seal(#[from] SealError),
    #[error("the delivery cannot be put into a request: {0}")]
    Build(String),
    /// What an agent says of its call to the application.
    #[error("{1}")]
    Reported(Class, String),
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The name does not resolve.
    Dns,
    /// No connection.
    Connect,
    /// No secure connection, or its certificate is not valid.
    Tls,
    /// No answer in time.
    Timeout,
    /// The exchange broke off.
    Broken,
    /// An answer, and not 2xx.
    HttpStatus,
    /// An address that may not be called.
    RefusedAddress,
    /// The hub could not make the request.
    Hub,
}

impl Class {
    /// Reads the word for a failure of the way to the receiver, as an agent reports it.
    pub(super) fn of_the_way(text: &str) -> Option<Self> {
        let all = [Self::Dns, Self::Connect, Self::Tls, Self::Timeout, Self::Broken, Self::RefusedAddress];
        all.into_iter().find(|class| class.as_str() == text)
    }

    /// The word used in JSON, SQL and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::HttpStatus => "http_status",
            Self::RefusedAddress => "refused_address",
            Self::Hub => "hub",
        }
    }
}

impl Failure {
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Send(SendError::Refused(_)) => Class::RefusedAddress,
            Self::Send(SendError::Failed(error)) => class_of(error),
            Self::Seal(_) | Self::Build(_) => Class::Hub,
            Self::Reported(class, _) => *class,
        }
    }

    /// For a person.
    pub(super) fn explain(&self) -> String {
        let Self::Send(SendError::Failed(error)) = self else { return self.to_string() };
        let cause = chain(error).last().map(ToString::to_string).unwrap_or_default();
        match class_of(error) {
            Class::RefusedAddress => cause,
            Class::Dns => format!("the name does not resolve: {cause}"),
            Class::Tls => format!("no secure connection: {cause}"),
            Class::Timeout => format!("timed out: {cause}"),
            Class::Connect => format!("could not connect: {cause}"),
            _ => format!("the exchange broke off: {cause}"),
        }
    }
}

fn class_of(error: &reqwest::Error) -> Class {
    let any = |test: fn(&(dyn std::error::Error + 'static)) -> bool| chain(error).any(test);
    if any(is_refused) {
        Class::RefusedAddress
    } else if any(is_tls) {
        Class::Tls
    } else if error.is_timeout() || any(|cause| io_kind(cause) == Some(std::io::ErrorKind::TimedOut)) {
        Class::Timeout
    } else if any(|cause| cause.to_string().starts_with("dns error")) {
        Class::Dns
    } else if error.is_connect() {
        Class::Connect
    } else {
        Class::Broken
    }
}

/// The errors beneath an error. An I/O error shows what it wraps only when asked for it.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |cause| {
        let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| cause.source())
    })
}

fn is_refused(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<Refused>()
}

fn is_tls(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<rustls::Error>()
}

fn io_kind(cause: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
}
