//! Against a real SMTP server, with TLS and a login.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use secrecy::SecretString;
use serde_json::Value;
use sqlx::PgPool;

use super::{confirmation, settled};
use crate::support::TestApp;

struct Catcher {
    process: Child,
    smtp: String,
    kept: tempfile::TempDir,
}

impl Catcher {
    /// With a certificate of its own for `localhost`.
    fn start() -> Self {
        let kept = tempfile::tempdir().unwrap();
        let path = |name: &str| kept.path().join(name).display().to_string();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args([
                "-addext",
                "subjectAltName=DNS:localhost",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ])
            .args(["-keyout", &path("key.pem"), "-out", &path("cert.pem")])
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/mail-catcher/catcher.py");
        let mut process = Command::new("/usr/bin/python3")
            .args([script, "--smtp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--keep", &path("mails")])
            .args([
                "--certificate",
                &path("cert.pem"),
                "--key",
                &path("key.pem"),
                "--login",
                "tienda:s3creto",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self { process, smtp: ready["smtp"].as_str().unwrap().to_owned(), kept }
    }

    fn url(&self, login: &str, query: &str) -> SecretString {
        let port = self.smtp.rsplit_once(':').unwrap().1;
        let ca = self.kept.path().join("cert.pem").display().to_string();
        SecretString::from(format!("smtp://{login}localhost:{port}?tls=required{}", query.replace("CA", &ca)))
    }

    fn mails(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.kept.path().join("mails")).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }
}

impl Drop for Catcher {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_real_server_takes_a_mail_over_tls_from_who_logs_in(pool: PgPool) {
    let catcher = Catcher::start();
    let test =
        TestApp::with(pool, |config| config.smtp_url = Some(catcher.url("tienda:s3creto@", "&ca=CA"))).await;
    let (_, key) = test.project().await;
    let id = test.post(&key, "/v1/notifications", confirmation()).await.id();
    let sent = settled(&test, &key, &id, "sent").await;
    assert_eq!(sent["attempts"][0]["response_code"], 250, "{sent}");
    let mails = catcher.mails();
    assert!(mails[0].contains(&format!("<{id}@")) && mails[0].contains("text/html"), "{mails:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_password_or_an_unknown_certificate_leaves_the_mail_waiting(pool: PgPool) {
    let catcher = Catcher::start();
    for (login, query, told) in [("tienda:no@", "&ca=CA", "535"), ("tienda:s3creto@", "", "certificate")] {
        let url = catcher.url(login, query);
        let test = TestApp::with(pool.clone(), |config| config.smtp_url = Some(url)).await;
        let (_, key) = test.project().await;
        let id = test.post(&key, "/v1/notifications", confirmation()).await.id();
        let shown = test
            .until("one attempt", async || {
                let shown = test.get(&key, &format!("/v1/notifications/{id}")).await;
                (shown.body["attempt_count"] == 1).then_some(shown.body)
            })
            .await;
        assert_eq!(shown["status"], "pending");
        assert!(shown["attempts"][0].to_string().contains(told), "{shown}");
        assert!(!shown.to_string().contains("s3creto"));
        test.app.shutdown.token.cancel();
    }
    assert!(catcher.mails().is_empty());
}
