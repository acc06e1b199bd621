//! The server: slow callers, too many callers, heads out of all measure, TLS, and the end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trastienda_hub::server::tls::{Files, Tls};
use trastienda_hub::server::{self, Limits};

use crate::cli::Cli;
use crate::support::{ADMIN_TOKEN, Authority, TestApp};

/// What no test waits for.
const LONG: Duration = Duration::from_hours(1);
/// How long anything may take; far more than it does.
const PATIENCE: Duration = Duration::from_mins(1);

/// Limits that are never reached.
fn generous() -> Limits {
    Limits { head: LONG, idle: LONG, patience: LONG, ..Limits::default() }
}

/// A server on a port.
struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn serve(test: &TestApp, limits: Limits, tls: Option<Arc<Tls>>) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let task =
        tokio::spawn(server::serve(listener, test.router(), limits, tls, stop.clone().cancelled_owned()));
    Served { address, stop, task }
}

/// What an agent asks that waits for deliveries.
fn poll(seconds: u32) -> Value {
    let status = json!({"hub": "up", "buffered": 0, "oldest_seconds": 0, "dead_letters": 0, "disk_bytes": 0, "version": "1"});
    json!({"agent_id": "a", "wait": seconds, "max": 5, "status": status})
}

/// A connection of one's own.
struct Raw(BufReader<TcpStream>);

struct Told {
    status: u16,
    head: String,
    body: String,
}

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    async fn say(&mut self, text: &str) -> std::io::Result<()> {
        self.0.write_all(text.as_bytes()).await
    }

    async fn get(&mut self, path: &str, fields: &str) -> Option<Told> {
        self.say(&format!("GET {path} HTTP/1.1\r\nhost: hub\r\n{fields}\r\n")).await.ok()?;
        self.hear().await
    }

    /// An answer; `None` once the connection is closed.
    async fn hear(&mut self) -> Option<Told> {
        let hearing = async {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if self.0.read_line(&mut head).await.ok()? == 0 {
                    return None;
                }
            }
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
            self.0.read_exact(&mut body).await.ok()?;
            let status = head.split(' ').nth(1)?.parse().ok()?;
            Some(Told { status, head, body: String::from_utf8(body).unwrap() })
        };
        tokio::time::timeout(PATIENCE, hearing).await.expect("neither an answer nor an end")
    }

    /// Sends a byte now and then until the other side has had enough; what it says then.
    async fn drip(&mut self) -> Option<Told> {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < PATIENCE, "it was let go on");
            let ended = self.say("x").await.is_err();
            // An answer or the end, or else the next drop.
            let heard = tokio::time::timeout(Duration::from_millis(20), self.0.fill_buf()).await;
            if ended || heard.is_ok() {
                return self.hear().await;
            }
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_head_that_drips_is_cut_off_and_a_quiet_connection_is_not(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let served = serve(&test, Limits { head: Duration::from_millis(200), ..generous() }, None).await;
    let (mut quiet, mut used) = (Raw::connect(served.address).await, Raw::connect(served.address).await);
    assert_eq!(used.get("/healthz", "").await.unwrap().status, 200);
    for beginning in ["G", "GET /healthz HTTP/1.1\r\nhost: hub\r\nx-slow: "] {
        let mut slow = Raw::connect(served.address).await;
        slow.say(beginning).await.unwrap();
        assert!(slow.drip().await.is_none());
    }
    // The second head of a connection has no more time than the first.
    let mut second = Raw::connect(served.address).await;
    assert_eq!(second.get("/healthz", "").await.unwrap().status, 200);
    second.say("GET /hea").await.unwrap();
    assert!(second.drip().await.is_none());
    for connection in [&mut quiet, &mut used] {
        assert_eq!(connection.get("/healthz", "").await.unwrap().status, 200);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_connection_that_is_never_used_is_closed_in_the_end(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let served = serve(&test, Limits { idle: Duration::from_millis(100), ..generous() }, None).await;
    let mut unused = Raw::connect(served.address).await;
    assert!(unused.hear().await.is_none());
    let mut used = Raw::connect(served.address).await;
    assert_eq!(used.get("/healthz", "").await.unwrap().status, 200);
    assert!(used.hear().await.is_none());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_body_that_drips_is_answered_408(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let (_, key) = test.project().await;
    let limits = Limits { patience: Duration::from_millis(200), bytes_per_second: 1_000_000, ..generous() };
    let served = serve(&test, limits, None).await;
    let mut slow = Raw::connect(served.address).await;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: hub\r\nx-api-key: {key}\r\ncontent-length: 100000\r\n\r\n{{"
    );
    slow.say(&head).await.unwrap();
    let told = slow.drip().await.unwrap();
    assert_eq!(told.status, 408, "{}", told.head);
    assert!(told.body.contains("request_timeout") && told.head.contains("problem+json"), "{}", told.body);
    assert!(slow.hear().await.is_none(), "what comes after it is not read as a request");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_reader_that_does_not_read_is_cut_off(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let limits = Limits { patience: Duration::from_millis(300), bytes_per_second: 1 << 30, ..generous() };
    let served = serve(&test, limits, None).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut greedy = socket.connect(served.address).await.unwrap();
    let asking = async {
        // Asks and asks and never reads: in the end neither side can write, until the hub gives up.
        while greedy.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: hub\r\n\r\n").await.is_ok() {}
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it was waited for");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_long_poll_outlives_every_time_that_a_caller_has(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let short = Duration::from_millis(100);
    let limits = Limits { head: short, idle: short, patience: short, ..Limits::default() };
    let served = serve(&test, limits, None).await;
    let mut agent = Raw::connect(served.address).await;
    let body = poll(2).to_string();
    let length = body.len();
    agent.say(&format!("POST /v1/agent/poll HTTP/1.1\r\nhost: hub\r\nx-api-key: {key}\r\ncontent-length: {length}\r\n\r\n{body}")).await.unwrap();
    let told = agent.hear().await.unwrap();
    assert_eq!((told.status, told.body.as_str()), (200, "{\"deliveries\":[]}"), "{}", told.head);
}

#[sqlx::test(migrations = "../migrations")]
async fn past_the_limit_of_connections_callers_are_told_and_who_watches_is_answered(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let served = serve(&test, Limits { connections: 2, ..generous() }, None).await;
    let mut first = Raw::connect(served.address).await;
    let mut second = Raw::connect(served.address).await;
    for connection in [&mut first, &mut second] {
        assert_eq!(connection.get("/healthz", "").await.unwrap().status, 200);
    }
    let mut third = Raw::connect(served.address).await;
    let told = third.get("/v1/project", "").await.unwrap();
    assert_eq!(told.status, 503);
    assert!(told.head.contains("retry-after: 2") && told.body.contains("\"overloaded\""), "{}", told.body);
    assert!(told.body.contains("request_id") && third.hear().await.is_none(), "one answer, and the end");
    let token = format!("authorization: Bearer {ADMIN_TOKEN}\r\n");
    for (path, fields) in [("/healthz", ""), ("/metrics", token.as_str())] {
        let mut watching = Raw::connect(served.address).await;
        assert_eq!(watching.get(path, fields).await.unwrap().status, 200, "{path}");
    }
    // A place that becomes free is given.
    drop(first);
    test.until("there is room again", async || {
        let told = Raw::connect(served.address).await.get("/v1/project", "").await?;
        (told.status == 401).then_some(())
    })
    .await;
    assert_eq!(second.get("/healthz", "").await.unwrap().status, 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn past_the_limit_of_requests_callers_are_told_and_agents_and_who_watches_are_not(pool: PgPool) {
    let test = TestApp::with(pool, |config| config.limits.requests = 1).await;
    let (_, key) = test.project().await;
    let served = serve(&test, generous(), None).await;
    let mut working = Raw::connect(served.address).await;
    let body = json!({"type": "gift.made", "data": {}}).to_string();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: hub\r\nx-api-key: {key}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    working.say(&head).await.unwrap();
    test.until("the only place is taken", async || {
        let told = Raw::connect(served.address).await.get("/v1/project", "").await?;
        if told.status == 503 {
            assert!(told.head.contains("retry-after: 2") && told.body.contains("\"overloaded\""));
        }
        (told.status == 503).then_some(())
    })
    .await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(test.send("GET", path, &[], "").await.status, 200, "{path}");
    }
    assert_eq!(test.admin("GET", "/metrics", Value::Null).await.status, 200);
    assert_eq!(test.post(&key, "/v1/agent/poll", poll(0)).await.status, 200);
    assert_eq!(test.get(&key, "/v1/project").await.code(), "overloaded");

    working.say(&body).await.unwrap();
    assert_eq!(working.hear().await.unwrap().status, 202);
    test.until("there is room again", async || {
        (test.get(&key, "/v1/project").await.status == 200).then_some(())
    })
    .await;
}

#[sqlx::test(migrations = "../migrations")]
async fn past_the_memory_for_bodies_large_ones_are_told_and_small_ones_go_on(pool: PgPool) {
    const PART: usize = 512 * 1024;
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let served = serve(&test, Limits { bodies: PART, ..generous() }, None).await;
    let batch = |length: usize| {
        format!(
            "POST /v1/batch HTTP/1.1\r\nhost: hub\r\nx-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    // Most of the memory is taken by one that does not come to its end; if the other was read first, once more.
    let body = format!(r#"{{"operations": []{}}}"#, " ".repeat(PART / 2));
    let first = test
        .until("another large one is told", async || {
            let mut first = Raw::connect(served.address).await;
            first.say(&batch(PART)).await.unwrap();
            let _ = first.say(&" ".repeat(PART - 1)).await;
            let mut second = Raw::connect(served.address).await;
            second.say(&batch(body.len())).await.unwrap();
            let _ = second.say(&body).await;
            let told = second.hear().await.filter(|told| told.status == 503)?;
            assert!(told.head.contains("retry-after:") && told.body.contains("overloaded"), "{}", told.body);
            Some(first)
        })
        .await;
    let small = r#"{"operations": []}"#;
    let mut third = Raw::connect(served.address).await;
    third.say(&format!("{}{small}", batch(small.len()))).await.unwrap();
    assert_eq!(third.hear().await.unwrap().status, 200);
    // Whoever hangs up gives it back.
    drop(first);
    test.until("there is room again", async || {
        let mut fourth = Raw::connect(served.address).await;
        fourth.say(&batch(body.len())).await.unwrap();
        let _ = fourth.say(&body).await;
        (fourth.hear().await?.status == 200).then_some(())
    })
    .await;
    // What a body inflates to counts as well.
    let bomb = zstd::encode_all(" ".repeat(4 * PART).as_bytes(), 3).unwrap();
    let head = batch(bomb.len()).replace("host: hub", "host: hub\r\ncontent-encoding: zstd");
    let mut fifth = Raw::connect(served.address).await;
    fifth.say(&head).await.unwrap();
    fifth.0.write_all(&bomb).await.unwrap();
    assert_eq!(fifth.hear().await.unwrap().status, 503);
    served.stop.cancel();
    served.task.await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn heads_out_of_all_measure_are_refused(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let served = serve(&test, generous(), None).await;
    let long = format!("x-long: {}\r\n", "a".repeat(40_000));
    let many: String = "x: a\r\n".repeat(101);
    for fields in [&long, &many] {
        let told = Raw::connect(served.address).await.get("/healthz", fields).await.unwrap();
        assert_eq!(told.status, 431);
    }
    let path = format!("/healthz?{}", "a".repeat(40_000));
    let told = Raw::connect(served.address).await.get(&path, "").await.unwrap();
    assert!(matches!(told.status, 414 | 431), "{}", told.status);
    // What is long but not out of measure is taken.
    let fits = format!("x-long: {}\r\n", "a".repeat(20_000));
    assert_eq!(Raw::connect(served.address).await.get("/healthz", &fits).await.unwrap().status, 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_under_way_at_the_end_is_answered_and_nothing_new_is_taken(pool: PgPool) {
    let test = TestApp::new(pool).await;
    let (_, key) = test.project().await;
    let served = serve(&test, generous(), None).await;
    let mut idle = Raw::connect(served.address).await;
    assert_eq!(idle.get("/healthz", "").await.unwrap().status, 200);
    let mut working = Raw::connect(served.address).await;
    let body = json!({"type": "gift.made", "data": {}}).to_string();
    let (start, rest) = body.split_at(5);
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: hub\r\nx-api-key: {key}\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    working.say(&head).await.unwrap();
    // The hub waits for the body: the request is under way.
    assert_eq!(working.hear().await.unwrap().status, 100);
    working.say(start).await.unwrap();
    served.stop.cancel();
    assert!(idle.hear().await.is_none(), "an idle connection is closed");
    test.until("nothing listens any more", async || {
        TcpStream::connect(served.address).await.is_err().then_some(())
    })
    .await;
    assert!(!served.task.is_finished());
    working.say(rest).await.unwrap();
    assert_eq!(working.hear().await.unwrap().status, 202);
    tokio::time::timeout(PATIENCE, served.task).await.expect("it did not end").unwrap();
}

/// A client that believes one authority.
fn client(authority: &Authority) -> reqwest::Client {
    trastienda_hub::serve::install_tls();
    let root = reqwest::Certificate::from_der(&authority.root()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test's own client, not the hub's")]
    let builder = reqwest::Client::builder();
    builder.no_proxy().pool_max_idle_per_host(0).tls_certs_only([root]).build().unwrap()
}

fn files(directory: &TempDir, authority: &Authority) -> Files {
    let (certificates, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let pem = authority.pem("localhost");
    std::fs::write(&certificates, pem.0).unwrap();
    std::fs::write(&key, pem.1).unwrap();
    Files { certificates, key }
}

#[sqlx::test(migrations = "../migrations")]
async fn with_certificates_it_speaks_tls_and_http2_and_reads_new_ones(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let (directory, authority, next) = (TempDir::new().unwrap(), Authority::new(), Authority::new());
    let tls = Tls::open(files(&directory, &authority)).unwrap();
    let served = serve(&test, generous(), Some(tls.clone())).await;
    let url = format!("https://localhost:{}/healthz", served.address.port());
    let answer = client(&authority).get(&url).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    // Plain HTTP gets nothing, and neither does who expects another authority.
    assert!(Raw::connect(served.address).await.get("/healthz", "").await.is_none());
    assert!(client(&next).get(&url).send().await.is_err());

    let new = files(&directory, &next);
    tls.reload().unwrap();
    assert_eq!(client(&next).get(&url).send().await.unwrap().status(), 200);
    // What cannot be used changes nothing.
    for broken in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        std::fs::write(&new.key, broken).unwrap();
        assert!(tls.reload().unwrap_err().to_string().contains("TRASTIENDA_TLS_"));
    }
    std::fs::write(&new.key, authority.pem("localhost").1).unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("do not go together"));
    assert_eq!(client(&next).get(&url).send().await.unwrap().status(), 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_handshake_that_does_not_come_is_cut_off(pool: PgPool) {
    let test = TestApp::idle(pool).await;
    let directory = TempDir::new().unwrap();
    let tls = Tls::open(files(&directory, &Authority::new())).unwrap();
    let limits = Limits { head: Duration::from_millis(200), ..generous() };
    let served = serve(&test, limits, Some(tls)).await;
    assert!(Raw::connect(served.address).await.hear().await.is_none());
}

/// The program itself.
struct Program(Child);

impl Program {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("/bin/kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_program_reads_its_certificates_again_at_sighup_and_its_healthcheck_speaks_tls(pool: PgPool) {
    let (directory, authority, next) = (TempDir::new().unwrap(), Authority::new(), Authority::new());
    let files = files(&directory, &authority);
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let cli = Cli::on(&pool)
        .with("TRASTIENDA_LISTEN", &listen)
        .with("TRASTIENDA_TLS_CERT", &text(&files.certificates))
        .with("TRASTIENDA_TLS_KEY", &text(&files.key));
    let program = Program(cli.command(&["serve"]).stderr(std::process::Stdio::null()).spawn().unwrap());
    let url = format!("https://localhost:{port}/readyz");
    let until = async |what: &str, client: &reqwest::Client| {
        let deadline = Instant::now() + PATIENCE;
        while !client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    until("it is ready", &client(&authority)).await;
    let checked = cli.clone();
    let healthy = tokio::task::spawn_blocking(move || checked.command(&["healthcheck"]).output().unwrap());
    let healthy = healthy.await.unwrap();
    assert!(healthy.status.success(), "{}", String::from_utf8_lossy(&healthy.stderr));
    self::files(&directory, &next);
    program.signal("HUP");
    until("the new certificate is shown", &client(&next)).await;
    program.signal("TERM");
    let mut ending = program;
    let ended = tokio::task::spawn_blocking(move || ending.0.wait().unwrap().success());
    assert!(ended.await.unwrap(), "it did not end well");
}
