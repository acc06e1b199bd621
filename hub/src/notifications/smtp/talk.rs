//! One conversation with a server, step by step.

use std::net::SocketAddr;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use lettre::transport::smtp::{self};
use tokio::time::{Instant, timeout_at};

use super::server::{Security, Server};
use crate::outbound::Outbound;

/// For a connection, with its greeting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For each answer of the server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How far a conversation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Connecting, greeting, TLS.
    Connect,
    /// Logging in.
    Login,
    /// Saying who writes.
    Sender,
    /// Saying to whom.
    Recipient,
    /// Asking to go on.
    Data,
    /// Handing over the message: from here on, no answer means that nobody knows.
    Message,
}

/// Why a conversation ended without a yes.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    /// The server's code, if it answered.
    pub(crate) code: Option<u16>,
    /// What it said, or what went wrong.
    pub(crate) what: String,
    /// The server lacks what this very message needs.
    pub(crate) is_unfit: bool,
}

impl Failure {
    /// The server refused this mail for good. What it says about us (53x, a greeting that is a refusal) is not that.
    pub(crate) fn is_final(&self) -> bool {
        let code = self.code.unwrap_or_default();
        self.is_unfit || (self.step >= Step::Sender && (500..600).contains(&code) && code / 10 != 53)
    }

    /// The server may have taken the message.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.step == Step::Message && self.code.is_none()
    }

    /// It says something about the server, not about the mail.
    pub(crate) fn is_servers(&self) -> bool {
        !self.is_unfit
            && (self.code.is_none_or(|code| code == 421 || code / 10 == 53) || self.step < Step::Sender)
    }

    /// The recipient does not exist: writing again would only harm the sender's name.
    pub(crate) fn is_hard(&self) -> bool {
        let code = self.code.unwrap_or_default();
        if !self.is_final() || self.is_unfit || self.step < Step::Recipient {
            return false;
        }
        match enhanced(&self.what) {
            Some((5, 1, detail)) => matches!(detail, 1 | 2 | 3 | 6 | 10),
            Some((5, 2, 1)) => true,
            Some(_) => false,
            None => self.step == Step::Recipient && matches!(code, 550 | 551 | 553),
        }
    }

    /// As people read it.
    pub(crate) fn told(&self) -> String {
        match self.code {
            Some(code) => format!("{code} {}", self.what),
            None => self.what.clone(),
        }
    }

    fn new(step: Step, error: &smtp::Error) -> Self {
        use std::error::Error as _;
        let code = error.status().map(u16::from);
        let source = error.source().map(ToString::to_string);
        let what = match (code, source) {
            (Some(_), Some(source)) => source,
            (_, Some(source)) => format!("{}: {source}", kind(error)),
            (_, None) => kind(error).to_owned(),
        };
        let is_unfit = error.is_client() && step >= Step::Sender;
        Self { step, code, what, is_unfit }
    }

    fn slow(step: Step) -> Self {
        Self { step, code: None, what: "the server did not answer in time".to_owned(), is_unfit: false }
    }

    fn of(step: Step, what: impl Into<String>) -> Self {
        Self { step, code: None, what: what.into(), is_unfit: false }
    }
}

/// Opens a connection, logged in.
pub(crate) async fn open(
    server: &Server,
    outbound: &Outbound,
    deadline: Instant,
) -> Result<AsyncSmtpConnection, Failure> {
    let connecting = connect(server, outbound);
    let deadline_here = deadline.min(Instant::now() + CONNECT_TIMEOUT);
    let mut connection =
        timeout_at(deadline_here, connecting).await.unwrap_or_else(|_| Err(Failure::slow(Step::Connect)))?;
    if let Some(credentials) = &server.credentials {
        let login = connection.auth(DEFAULT_MECHANISMS, credentials);
        step(Step::Login, deadline, login).await?;
    }
    Ok(connection)
}

async fn connect(server: &Server, outbound: &Outbound) -> Result<AsyncSmtpConnection, Failure> {
    let at = Step::Connect;
    let addresses: Vec<SocketAddr> = if server.account.is_some() {
        let plain = matches!(server.security, Security::None | Security::Opportunistic);
        let checked = outbound.addresses(&server.host, server.port, plain).await;
        checked.map_err(|refused| Failure::of(at, refused.to_string()))?
    } else {
        let found = tokio::net::lookup_host((server.host.trim_matches(['[', ']']), server.port)).await;
        found
            .map_err(|error| Failure::of(at, format!("the server's name has no address: {error}")))?
            .collect()
    };
    let tls = || {
        let mut builder = TlsParameters::builder(server.host.clone());
        if let Some(root) = &server.root {
            builder = builder.add_root_certificate(root.clone());
        }
        builder.build().map_err(|error| Failure::new(at, &error))
    };
    let wrapper = if server.security == Security::Tls { Some(tls()?) } else { None };
    let opened = AsyncSmtpConnection::connect_tokio1(
        addresses.as_slice(),
        Some(crate::outbound::CONNECT_TIMEOUT),
        &server.hello,
        wrapper,
        None,
    );
    let mut connection = opened.await.map_err(|error| Failure::new(at, &error))?;
    let wants = match server.security {
        Security::StartTls => true,
        Security::Opportunistic => connection.can_starttls(),
        Security::None | Security::Tls => false,
    };
    if wants {
        connection.starttls(tls()?, &server.hello).await.map_err(|error| Failure::new(at, &error))?;
    }
    Ok(connection)
}

/// Hands a message over.
pub(crate) async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    message: &[u8],
    deadline: Instant,
) -> Result<Response, Failure> {
    let mut options = Vec::new();
    let info = connection.server_info();
    let mut addresses = envelope.to().iter().chain(envelope.from());
    if addresses.any(|address| !AsRef::<str>::as_ref(address).is_ascii()) {
        if !info.supports_feature(Extension::SmtpUtfEight) {
            return Err(unfit("the address is not ASCII and the server does not take such (SMTPUTF8)"));
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    if !message.is_ascii() {
        if !info.supports_feature(Extension::EightBitMime) {
            return Err(unfit("the message is not ASCII and the server does not take such (8BITMIME)"));
        }
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let from = Mail::new(envelope.from().cloned(), options);
    step(Step::Sender, deadline, connection.command(from)).await?;
    for to in envelope.to() {
        step(Step::Recipient, deadline, connection.command(Rcpt::new(to.clone(), Vec::new()))).await?;
    }
    step(Step::Data, deadline, connection.command(Data)).await?;
    match timeout_at(deadline, connection.command(whole(message))).await {
        Ok(answer) => answer.map_err(|error| Failure::new(Step::Message, &error)),
        Err(_) => Err(Failure::slow(Step::Message)),
    }
}

/// A message as it is said after `DATA`, its end included, to be written at once: the end by itself would wait for the
/// server to acknowledge what came before, and that takes it 40 ms (Nagle's algorithm meets delayed acknowledgements).
///
/// A line that begins with a dot gets another (RFC 5321, 4.5.2), also after half a line break: nothing in a message may
/// look like its end to anybody.
fn whole(message: &[u8]) -> String {
    // The builder encodes what is not text.
    let message = String::from_utf8_lossy(message);
    let mut whole = String::with_capacity(message.len() + message.len() / 50 + 8);
    let mut is_line_start = true;
    for c in message.chars() {
        if is_line_start && c == '.' {
            whole.push('.');
        }
        is_line_start = matches!(c, '\r' | '\n');
        whole.push(c);
    }
    whole.push_str(if whole.ends_with("\r\n") { ".\r\n" } else { "\r\n.\r\n" });
    whole
}

fn unfit(what: &str) -> Failure {
    Failure { step: Step::Sender, code: None, what: what.to_owned(), is_unfit: true }
}

async fn step(
    step: Step,
    deadline: Instant,
    asking: impl Future<Output = Result<Response, smtp::Error>>,
) -> Result<Response, Failure> {
    match timeout_at(deadline.min(Instant::now() + ANSWER_TIMEOUT), asking).await {
        Ok(answer) => answer.map_err(|error| Failure::new(step, &error)),
        Err(_) => Err(Failure::slow(step)),
    }
}

fn kind(error: &smtp::Error) -> &'static str {
    if error.is_timeout() {
        "the server did not answer in time"
    } else if error.is_tls() {
        "no secure connection"
    } else if error.is_client() {
        "the server lacks what is needed"
    } else if error.is_response() {
        "the server's answer cannot be read"
    } else {
        "the connection failed"
    }
}

/// The enhanced status code (RFC 3463) at the start of an answer.
fn enhanced(text: &str) -> Option<(u16, u16, u16)> {
    let mut parts = text.split_whitespace().next()?.splitn(3, '.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(step: Step, code: u16, what: &str) -> Failure {
        Failure { step, code: (code > 0).then_some(code), what: what.to_owned(), is_unfit: false }
    }

    #[test]
    fn a_message_ends_once_and_its_dots_are_kept() {
        for (message, expected) in [
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            ("", "\r\n.\r\n"),
            (".\r\n..\r\na.\r\n", "..\r\n...\r\na.\r\n.\r\n"),
            ("a\n.\r\nMAIL FROM:<x@y.z>\r.\r", "a\n..\r\nMAIL FROM:<x@y.z>\r..\r\r\n.\r\n"),
        ] {
            assert_eq!(whole(message.as_bytes()), expected, "{message:?}");
        }
    }

    #[test]
    fn what_a_failure_means_depends_on_where_it_came() {
        let final_ones =
            [(Step::Recipient, 550), (Step::Sender, 553), (Step::Message, 554), (Step::Data, 500)];
        for (step, code) in final_ones {
            assert!(failure(step, code, "no").is_final(), "{step:?} {code}");
        }
        for (step, code) in [
            (Step::Connect, 554),
            (Step::Login, 535),
            (Step::Message, 535),
            (Step::Recipient, 450),
            (Step::Message, 0),
        ] {
            assert!(!failure(step, code, "no").is_final(), "{step:?} {code}");
        }
        assert!(
            failure(Step::Message, 0, "gone").is_doubtful() && !failure(Step::Data, 0, "gone").is_doubtful()
        );
        assert!(
            failure(Step::Recipient, 421, "busy").is_servers()
                && !failure(Step::Recipient, 450, "grey").is_servers()
        );
    }

    #[test]
    fn only_recipients_that_do_not_exist_are_hard_refusals() {
        for (step, code, what, expected) in [
            (Step::Recipient, 550, "no such user", true),
            (Step::Recipient, 550, "5.1.1 <a@b.co> unknown", true),
            (Step::Message, 550, "5.1.1 unknown", true),
            (Step::Message, 550, "no such user", false),
            (Step::Recipient, 550, "5.7.1 blocked: your address is on a list", false),
            (Step::Recipient, 552, "5.2.2 mailbox full", false),
            (Step::Recipient, 450, "4.1.1 later", false),
            (Step::Sender, 550, "5.1.8 bad sender", false),
        ] {
            assert_eq!(failure(step, code, what).is_hard(), expected, "{step:?} {code} {what}");
        }
    }
}
