//! The command line, run as the program that it is.

use std::process::{Command, Output};

use serde_json::Value;
use sqlx::PgPool;

use crate::support::TestApp;

#[derive(Clone)]
pub(crate) struct Cli {
    database_url: String,
    settings: Vec<(&'static str, String)>,
}

impl Cli {
    pub(crate) fn on(pool: &PgPool) -> Self {
        let options = pool.connect_options();
        let (host, port) = (options.get_host().to_owned(), options.get_port());
        let (user, database) =
            (options.get_username().to_owned(), options.get_database().unwrap().to_owned());
        let database_url = format!("postgres://{user}@{host}:{port}/{database}");
        Self { database_url, settings: Vec::new() }
    }

    /// The same with another setting.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    /// The same with a password, which PostgreSQL does not ask for here.
    pub(crate) fn with_password(mut self, password: &str) -> Self {
        self.database_url = self.database_url.replace('@', &format!(":{password}@"));
        self
    }

    /// The program with its arguments, ready to be started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trastienda-hub"));
        command.args(arguments).env_clear().env("DATABASE_URL", &self.database_url);
        // The key that the harness's hubs seal with.
        command.env("TRASTIENDA_MASTER_KEY", "dGVzdC1tYXN0ZXIta2V5LW9mLTMyLWJ5dGVzLWxvbmc=");
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn failure(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_project_is_managed_from_the_shell_while_the_hub_runs(pool: PgPool) {
    let (test, cli) = (TestApp::new(pool.clone()).await, Cli::on(&pool));
    let run = |arguments: Vec<String>| {
        let cli = cli.clone();
        tokio::task::spawn_blocking(move || {
            cli.json(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        })
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let made = run(words("project create --name Mates --domain mates.example.com --plan pro --mode test"))
        .await
        .unwrap();
    let (id, key) = (made["project"]["id"].as_str().unwrap(), made["api_key"].as_str().unwrap());
    assert!(key.starts_with("tk_test_"));
    assert_eq!(test.get(key, "/v1/project").await.body["plan"], "pro");
    let list = run(words("project list")).await.unwrap();
    assert_eq!(list["data"][0]["id"], id);

    run(words(&format!("project deactivate {id}"))).await.unwrap();
    assert_eq!(test.get(key, "/v1/project").await.code(), "project_inactive");
    run(words(&format!("project activate {id}"))).await.unwrap();
    run(words(&format!("project feature {id} gift_cards on"))).await.unwrap();
    assert_eq!(test.get(key, "/v1/features/gift_cards").await.body["enabled"], true);
    run(words(&format!("project limits {id} endpoints=3 events_per_day=7"))).await.unwrap();
    run(words(&format!("project limits {id} endpoints=default"))).await.unwrap();
    let limits = test.get(key, "/v1/project").await.body["limits"].clone();
    assert_eq!((limits["endpoints"].as_i64(), limits["events_per_day"].as_i64()), (Some(50), Some(7)));

    let rotated = run(words(&format!("project rotate-key {id}"))).await.unwrap();
    assert_eq!(test.get(key, "/v1/project").await.status, 401);
    assert_eq!(test.get(rotated["api_key"].as_str().unwrap(), "/v1/project").await.status, 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_seed_makes_two_projects(pool: PgPool) {
    let seeded = Cli::on(&pool).json(&["seed"]);
    assert_eq!(seeded["data"].as_array().unwrap().len(), 2);
    assert_eq!(Cli::on(&pool).json(&["project", "list"])["data"].as_array().unwrap().len(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn mistakes_are_named_and_nothing_is_made(pool: PgPool) {
    let cli = Cli::on(&pool);
    let refused =
        cli.failure(&["project", "create", "--name", "", "--domain", "https://x", "--plan", "gold"]);
    for field in ["name", "domain", "plan"] {
        assert!(refused.contains(field), "{refused}");
    }
    assert!(cli.failure(&["project", "rotate-key", "prj_1"]).contains("prj_"));
    assert!(
        cli.failure(&["project", "limits", "prj_0192f0c1d2e37a4b8c5d6e7f8091a2b3", "endpoints=3"])
            .contains("no such project")
    );
    assert!(cli.json(&["project", "list"])["data"].as_array().unwrap().is_empty());
}

#[sqlx::test(migrations = false)]
async fn doctor_says_what_is_wrong_and_how_to_mend_it(pool: PgPool) {
    let cli = Cli::on(&pool);
    let before = cli.run(&["doctor"]);
    let text = String::from_utf8_lossy(&before.stdout).into_owned();
    assert!(!before.status.success() && text.contains("run `trastienda-hub migrate`"), "{text}");
    assert!(cli.run(&["migrate"]).status.success());
    let after = cli.run(&["doctor"]);
    let text = String::from_utf8_lossy(&after.stdout).into_owned();
    assert!(after.status.success(), "{text}");
    for finding in [
        "TRASTIENDA_SMTP_URL is unset",
        "TRASTIENDA_ADMIN_TOKEN is unset",
        "no hub is running",
        "there are no projects",
    ] {
        assert!(text.contains(finding), "{finding}: {text}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_configuration_stops_the_start_with_a_line_per_mistake(pool: PgPool) {
    let stderr =
        Cli::on(&pool).failure(&["serve", "--listen", "here", "--admin-token", "short", "--public-url", "x"]);
    let variables: Vec<_> = stderr.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(variables, ["TRASTIENDA_LISTEN", "TRASTIENDA_PUBLIC_URL", "TRASTIENDA_ADMIN_TOKEN"]);
}

#[test]
fn healthcheck_fails_when_nothing_listens() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trastienda-hub"));
    assert!(!command.args(["healthcheck", "--listen", "127.0.0.1:1"]).output().unwrap().status.success());
}

#[sqlx::test(migrations = "../migrations")]
async fn logs_tell_from_the_shell_what_the_dashboard_lists_without_addresses(pool: PgPool) {
    let (test, cli) = (TestApp::idle(pool.clone()).await, Cli::on(&pool));
    let (project, key) = test.project().await;
    for number in 0..3 {
        test.clock.advance(chrono::TimeDelta::seconds(1));
        let body = serde_json::json!({"channel": "email", "to": "ana.perez@example.com", "subject": "Hola", "text": "x",
            "order_id": format!("A-{number}")});
        assert_eq!(test.post(&key, "/v1/notifications", body).await.status, 202);
    }
    let said = move |arguments: &str| {
        let arguments = format!("logs {arguments} --project {project}");
        let output = cli.run(&arguments.split(' ').collect::<Vec<_>>());
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let told = tokio::task::spawn_blocking(move || {
        [
            said("notifications --since 2020-01-01"),
            said("notifications --since 2020-01-01 --limit 1 --json"),
            said("webhooks --since 2020-01-01"),
            said("payments --since yesterday"),
        ]
    });
    let [(_, all), (_, newest), (is_fine, none), (is_told, wrong)] = told.await.unwrap();
    let orders: Vec<_> = ["A-0", "A-1", "A-2"].iter().map(|order| all.find(order)).collect();
    assert!(orders.is_sorted() && orders[0].is_some(), "oldest first: {all}");
    assert!(!all.contains("ana.perez") && all.contains("a•••@example.com"), "{all}");
    let newest: Value =
        serde_json::from_str(newest.lines().find(|line| line.starts_with('{')).unwrap()).unwrap();
    assert_eq!((&newest["order_id"], &newest["to"]), (&"A-2".into(), &"a•••@example.com".into()));
    assert!(is_fine && !none.contains("whd_"), "{none}");
    assert!(!is_told && wrong.contains("--since"), "{wrong}");
}
