//! Bytes as nobody would write them: on the socket, and in the file of settings. From a seed, so that it is the same each time;
//! `FUZZ_SECONDS` goes on for longer.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config as Manner, RngAlgorithm, TestRng, TestRunner};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use trastienda_agent::config::Settings;

use crate::support::{StubHub, TestAgent};

/// Inputs, when nothing else is said.
const ROUNDS: u32 = 300;
/// How long an answer may take; far more than it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// Goes on for as long as it is told to.
struct Course {
    runner: TestRunner,
    seconds: Option<u64>,
    started: Instant,
    rounds: u32,
}

impl Course {
    fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the agent")]
        let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
        let dice = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let runner = TestRunner::new_with_rng(Manner::default(), dice);
        Self { runner, seconds, started: Instant::now(), rounds: 0 }
    }

    fn next<T: std::fmt::Debug>(&mut self, of: &impl Strategy<Value = T>) -> Option<T> {
        self.rounds += 1;
        let is_over = match self.seconds {
            Some(seconds) => self.started.elapsed() > Duration::from_secs(seconds),
            None => self.rounds > ROUNDS,
        };
        (!is_over).then(|| of.new_tree(&mut self.runner).unwrap().current())
    }
}

/// Pieces of HTTP, in any order.
fn http() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 26] = [
        "GET ",
        "POST ",
        "CONNECT ",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "/v1/events",
        "/v1/notifications",
        "/agent/status",
        "/agent/dead-letters/x/retry",
        "/v1/../admin/v1/projects",
        "http://other.example/v1/events",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        "host: localhost\r\n",
        "host: [::1\r\n",
        "content-length: 5\r\n",
        "content-length: -1\r\n",
        "content-length: 99999999999999999999\r\n",
        "transfer-encoding: chunked\r\n",
        "expect: 100-continue\r\n",
        "prefer: wait=0, respond-async\r\n",
        "idempotency-key: k\r\n",
        "x-api-key: tk_live_x\r\n",
        "connection: close\r\n",
        "\r\n",
        "{\"type\": \"a.b\", \"data\": {}}",
        "5\r\nhello\r\n0\r\n\r\n",
    ];
    let piece = prop_oneof![
        9 => prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    // Mostly the beginning of something.
    let beginning =
        prop_oneof![Just(&b""[..]), Just(&b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\n"[..])];
    (beginning, prop::collection::vec(piece, 0..12))
        .prop_map(|(beginning, pieces)| [beginning.to_vec(), pieces.concat()].concat())
}

/// What the agent says to bytes after which nothing comes.
async fn said(socket: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    // It may have heard enough before the end.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(PATIENCE, reading).await.expect("neither an answer nor an end");
    answer
}

#[tokio::test]
async fn whatever_comes_on_the_socket_is_answered_or_cut_off_and_the_next_caller_is_served() {
    let hub = StubHub::away().await;
    let agent = TestAgent::start(&hub).await;
    let (mut course, input) = (Course::start(), http());
    while let Some(bytes) = course.next(&input) {
        let answer = said(&agent.config.socket, &bytes).await;
        let wrong = || {
            format!(
                "{:?} was answered {:?}",
                bytes.escape_ascii().to_string(),
                String::from_utf8_lossy(&answer)
            )
        };
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", wrong());
        let status = answer.get(9..12).unwrap_or_default();
        assert_ne!(status, b"500", "{}", wrong());
    }
    assert_eq!(agent.status().await["hub"], "down");
}

#[test]
fn whatever_stands_in_the_file_of_settings_is_read_or_refused_in_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    let pieces = [
        "hub_url",
        "api_key",
        "buffer_max_bytes",
        "socket_mode",
        "agent_grace",
        " = ",
        "\"https://hub.example.com\"",
        "\"1GiB\"",
        "0o660",
        "-9223372036854775808",
        "1e999",
        "nan",
        "true",
        "1979-05-27T07:32:00Z",
        "[",
        "]",
        "{",
        "}",
        "[[a.b]]",
        "\"\"\"",
        "'''",
        "\\u{FFFF}",
        "\\uD800",
        "#",
        "\n",
        "\r",
        "\u{feff}",
        ".",
        ",",
    ];
    let piece = prop_oneof![prop::sample::select(pieces.to_vec()).prop_map(str::to_owned), "\\PC{0,6}"];
    let input = prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat());
    let settings = Settings { config: Some(file.to_string_lossy().into_owned()), ..Settings::default() };
    let mut course = Course::start();
    while let Some(text) = course.next(&input) {
        std::fs::write(&file, &text).unwrap();
        if let Err(line) = settings.with_file() {
            assert!(line.starts_with("TRASTIENDA_AGENT_CONFIG"), "{text:?}: {line}");
        }
    }
}
