//! A server, as the operator's URL or a project's account names it.

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::Certificate;
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use url::Url;
use uuid::Uuid;

use super::lanes::Lane;

/// How a connection is kept from other eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// Not at all.
    None,
    /// By STARTTLS if the server offers it.
    Opportunistic,
    /// By STARTTLS, or not used.
    StartTls,
    /// By TLS from the first byte.
    Tls,
}

/// A server that mail may be handed to. Does not print its password.
#[derive(Clone)]
pub(crate) struct Server {
    /// What its connections and its health are kept under: another for other settings.
    pub(crate) key: String,
    /// What it is called in attempts.
    pub(crate) label: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) hello: ClientId,
    /// Mails at once, if the operator says.
    pub(crate) connections: Option<usize>,
    /// A certificate authority beside the public ones.
    pub(crate) root: Option<Certificate>,
    /// The account of a project, whose address is checked when it is connected to; `None` is the operator's.
    pub(crate) account: Option<Account>,
}

/// Whose account it is, and what it writes as.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) project_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) sender: String,
}

/// Checks `TRASTIENDA_SMTP_URL`: one URL or several, with spaces between them, in the order in which they are tried.
///
/// # Errors
/// What would be right; the password is not repeated.
pub fn check_urls(text: &str) -> Result<(), String> {
    Server::operators(text).map(|_| ())
}

impl Server {
    /// Whose lane it is in.
    pub(crate) fn lane(&self) -> Lane {
        self.account.as_ref().map_or(Lane::Operators, |account| Lane::Own(account.project_id))
    }

    /// The servers of `TRASTIENDA_SMTP_URL`.
    pub(crate) fn operators(text: &str) -> Result<Vec<Self>, String> {
        let urls = text.split_whitespace().enumerate();
        let servers: Vec<Self> =
            urls.map(|(index, url)| Self::from_url(index, url)).collect::<Result<_, _>>()?;
        if servers.is_empty() { Err(shape()) } else { Ok(servers) }
    }

    fn from_url(index: usize, text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|_| shape())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(shape)?.to_owned();
        let parameter =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let (security, port) = match (url.scheme(), parameter("tls").as_deref()) {
            ("smtps", _) => (Security::Tls, 465),
            ("smtp", None) => (Security::None, 25),
            ("smtp", Some("required")) => (Security::StartTls, 587),
            ("smtp", Some("opportunistic")) => (Security::Opportunistic, 587),
            _ => return Err(shape()),
        };
        let port = url.port().unwrap_or(port);
        let decode =
            |text: &str| percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).ok();
        let credentials = match url.password() {
            Some(password) => {
                let user = decode(url.username()).ok_or_else(shape)?;
                Some(Credentials::new(user, decode(password).ok_or_else(shape)?))
            }
            None => None,
        };
        let name = url.path().trim_matches('/');
        let hello = if name.is_empty() { ClientId::default() } else { ClientId::Domain(name.to_owned()) };
        let connections = match parameter("connections").map(|text| text.parse::<usize>()) {
            None => None,
            Some(Ok(number)) if (1..=64).contains(&number) => Some(number),
            Some(_) => return Err("`connections` must be a number from 1 to 64".to_owned()),
        };
        let root = parameter("ca").map(|path| read_root(&path)).transpose()?;
        let label = format!("{host}:{port}");
        Ok(Self {
            key: format!("operator/{index}"),
            label,
            host,
            port,
            security,
            credentials,
            hello,
            connections,
            root,
            account: None,
        })
    }
}

fn shape() -> String {
    "must be a URL, as `smtp://user:password@host:587?tls=required` or `smtps://host`; several with spaces between them"
        .to_owned()
}

fn read_root(path: &str) -> Result<Certificate, String> {
    let pem = std::fs::read(path).map_err(|error| format!("`ca={path}` cannot be read: {error}"))?;
    Certificate::from_pem(&pem).map_err(|_| format!("`ca={path}` must be a certificate in PEM"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_where_how_and_in_which_order() {
        let read = Server::operators(
            "smtp://u%40x:p%20w@a.example:2525?tls=required  smtps://b.example/mx.shop.example smtp://c",
        )
        .unwrap();
        let told: Vec<_> =
            read.iter().map(|s| (s.label.as_str(), s.security, s.credentials.is_some())).collect();
        assert_eq!(
            told,
            [
                ("a.example:2525", Security::StartTls, true),
                ("b.example:465", Security::Tls, false),
                ("c:25", Security::None, false)
            ]
        );
        assert_eq!(read[1].hello, ClientId::Domain("mx.shop.example".to_owned()));
        for wrong in [
            "",
            " ",
            "http://x",
            "smtp://x?tls=perhaps",
            "smtp://",
            "smtp://u:secret@x?ca=/nowhere",
            "smtp://u:secret@x?tls=required&connections=0",
        ] {
            let error = Server::operators(wrong).err().unwrap();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
