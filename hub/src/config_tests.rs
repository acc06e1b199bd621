use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use secrecy::ExposeSecret as _;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    serve: ServeArgs,
}

fn lines(arguments: &[&str]) -> Vec<String> {
    // Whatever the environment of the test run holds.
    let command = Cli::command().mut_args(|argument| argument.env(None));
    let matches = command.get_matches_from(std::iter::once(&"hub").chain(arguments));
    let cli = Cli::from_arg_matches(&matches).unwrap();
    cli.serve.check().err().map(|errors| errors.lines().to_vec()).unwrap_or_default()
}

#[test]
fn the_defaults_need_nothing() {
    assert_eq!(lines(&["--data-dir", "/tmp/x"]), Vec::<String>::new());
}

#[test]
fn every_mistake_has_a_line_that_names_its_variable() {
    let lines = lines(&[
        "--database-url",
        "mysql://x:hunter2@y",
        "--listen",
        "8080",
        "--redis-url",
        "http://u:hunter2@h",
        "--public-url",
        "hub.example.com",
        "--max-connections",
        "many",
        "--max-requests",
        "0",
        "--tls-cert",
        "/etc/cert.pem",
        "--admin-token",
        "short",
        "--outbound-allow",
        "10.0.0.0/99",
        "--smtp-url",
        "smtp://u:secret@h?tls=perhaps",
        "--mail-from",
        "nobody",
        "--operator-email",
        "nobody",
        "--log-format",
        "xml",
        "--master-key",
        "abc",
    ]);
    let variables: Vec<&str> = lines.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(
        variables,
        [
            "DATABASE_URL",
            "TRASTIENDA_MASTER_KEY",
            "TRASTIENDA_LOG_FORMAT",
            "TRASTIENDA_LISTEN",
            "TRASTIENDA_MAX_CONNECTIONS",
            "TRASTIENDA_MAX_REQUESTS",
            "TRASTIENDA_TLS_KEY",
            "REDIS_URL",
            "TRASTIENDA_PUBLIC_URL",
            "TRASTIENDA_ADMIN_TOKEN",
            "TRASTIENDA_OUTBOUND_ALLOW",
            "TRASTIENDA_SMTP_URL",
            "TRASTIENDA_MAIL_FROM",
            "TRASTIENDA_OPERATOR_EMAIL",
        ]
    );
    assert!(!lines.join(" ").contains("hunter2") && !lines.join(" ").contains("secret"));
}

#[test]
fn every_secret_may_be_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name).to_string_lossy().into_owned();
        std::fs::write(&path, text).unwrap();
        path
    };
    let key = "dGVzdC1tYXN0ZXIta2V5LW9mLTMyLWJ5dGVzLWxvbmc=";
    let (url, key) = (file("url", "postgres://u:hunter2@h/d\n"), file("key", &format!("{key}\n")));
    let (token, smtp) = (file("token", &"t".repeat(32)), file("smtp", "smtp://u:p@h\r\n"));
    let given = [
        "--database-url-file",
        &url,
        "--master-key-file",
        &key,
        "--admin-token-file",
        &token,
        "--smtp-url-file",
        &smtp,
    ];
    let command = Cli::command().mut_args(|argument| argument.env(None));
    let matches = command.get_matches_from(std::iter::once(&"hub").chain(&given));
    let (config, store) = Cli::from_arg_matches(&matches).unwrap().serve.check().unwrap();
    let Database::External(found) = store.database else { panic!("not the file's database") };
    assert_eq!(found.expose_secret(), "postgres://u:hunter2@h/d");
    assert_eq!(config.admin_token.unwrap().expose_secret(), "t".repeat(32));
    assert_eq!(config.smtp_url.unwrap().expose_secret(), "smtp://u:p@h");
    assert!(store.master_key.is_some());
}

#[test]
fn a_secret_s_file_that_is_wrong_has_a_line_without_what_it_holds() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    std::fs::write(path("empty"), "\n").unwrap();
    std::fs::write(path("short"), "hunter2").unwrap();
    let lines = lines(&[
        "--database-url-file",
        &path("none"),
        "--master-key",
        "x",
        "--master-key-file",
        &path("short"),
        "--admin-token-file",
        &path("short"),
        "--smtp-url-file",
        &path("empty"),
    ]);
    let starts = [
        "DATABASE_URL_FILE: cannot read ",
        "TRASTIENDA_MASTER_KEY_FILE: TRASTIENDA_MASTER_KEY is set too",
        "TRASTIENDA_ADMIN_TOKEN: must have at least 32",
        "TRASTIENDA_SMTP_URL_FILE: ",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start) && !line.contains("hunter2"), "{line}");
    }
}

#[test]
fn an_external_database_needs_a_master_key() {
    assert!(lines(&["--database-url", "postgres://u:p@h/d"])[0].starts_with("TRASTIENDA_MASTER_KEY"));
}
