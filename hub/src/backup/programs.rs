//! PostgreSQL's own programs, told where the database is without a password on their command line.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context as _;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::process::Command;
use url::Url;

use crate::config::{Database, StoreConfig};
use crate::db::Store;
use crate::db::embedded::find_programs;

/// What a child process has no need to know.
const OURS: [&str; 8] = [
    "DATABASE_URL",
    "TRASTIENDA_MASTER_KEY",
    "TRASTIENDA_MASTER_KEY_OLD",
    "TRASTIENDA_ADMIN_TOKEN",
    "TRASTIENDA_SMTP_URL",
    "TRASTIENDA_API_KEY",
    "REDIS_URL",
    "TRASTIENDA_REDIS_URL",
];

/// Where the programs are and how they reach the database.
#[derive(Debug)]
pub(super) struct Programs {
    directory: PathBuf,
    /// A libpq address without a password.
    address: String,
    password: Option<SecretString>,
}

impl Programs {
    pub(super) fn find(store: &Store, config: &StoreConfig) -> anyhow::Result<Self> {
        let directory = find_programs(&["pg_dump", "pg_restore", "psql"])?;
        let (address, password) = match (&config.database, &store.embedded) {
            (Database::External(url), _) => address(url)?,
            (Database::Embedded(_), Some(embedded)) => (embedded.address(), None),
            (Database::Embedded(_), None) => anyhow::bail!("the embedded PostgreSQL does not run"),
        };
        Ok(Self { directory, address, password })
    }

    /// One that connects to the database.
    pub(super) fn connected(&self, name: &str) -> Command {
        let mut command = self.plain(name);
        command.arg("--no-password").arg(format!("--dbname={}", self.address));
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password.expose_secret());
        }
        command
    }

    /// One that does not.
    pub(super) fn plain(&self, name: &str) -> Command {
        let mut command = Command::new(self.directory.join(name));
        command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8").kill_on_drop(true);
        for name in OURS {
            command.env_remove(name);
        }
        command
    }
}

/// Takes the password out of an address, and what only our own client understands.
fn address(url: &SecretString) -> anyhow::Result<(String, Option<SecretString>)> {
    let mut url = Url::parse(url.expose_secret()).ok().context("DATABASE_URL: is not a URL")?;
    let mut password = url.password().map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
    let _ = url.set_password(None);
    let mut kept = Vec::new();
    for (name, value) in url.query_pairs().into_owned() {
        match name.as_str() {
            "password" => password = Some(value),
            "statement-cache-capacity" => {}
            "ssl-mode" => kept.push(("sslmode".to_owned(), value)),
            "ssl-root-cert" | "ssl-ca" => kept.push(("sslrootcert".to_owned(), value)),
            "ssl-cert" => kept.push(("sslcert".to_owned(), value)),
            "ssl-key" => kept.push(("sslkey".to_owned(), value)),
            _ => kept.push((name, value)),
        }
    }
    // libpq reads `+` as itself: spaces are written out.
    let query: Vec<String> = kept.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    url.set_query((!query.is_empty()).then(|| query.join("&")).as_deref());
    Ok((url.into(), password.map(SecretString::from)))
}

/// A value as it may stand in an address.
fn encoded(value: &str) -> String {
    percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Where a program's complaints go, to be read when it has failed.
#[derive(Debug)]
pub(super) struct Complaints(File);

impl Complaints {
    pub(super) fn of(command: &mut Command) -> anyhow::Result<Self> {
        let file = tempfile::tempfile().context("cannot make a temporary file")?;
        command.stderr(file.try_clone()?);
        Ok(Self(file))
    }

    /// What it complained about. Not in what context: that may quote rows.
    pub(super) fn read(mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.0.rewind().and_then(|()| self.0.read_to_end(&mut bytes));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines = text
            .lines()
            .filter(|line| ["error:", "ERROR:", "FATAL:", "fatal:"].iter().any(|word| line.contains(word)));
        lines.take(5).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_holds_no_password() {
        let given =
            "postgres://u:hunter%202@h:6432/d?ssl-mode=require&statement-cache-capacity=0&host=%2Frun%2Fpg";
        let (address, password) = address(&SecretString::from(given)).unwrap();
        assert_eq!(address, "postgres://u@h:6432/d?sslmode=require&host=%2Frun%2Fpg");
        assert_eq!(password.unwrap().expose_secret(), "hunter 2");
        let (address, password) =
            super::address(&SecretString::from("postgres://u@h/d?password=hunter2")).unwrap();
        assert_eq!((address.as_str(), password.unwrap().expose_secret()), ("postgres://u@h/d", "hunter2"));
    }
}
