//! The agent on a shop's host: beside other shops' agents, behind a socket of systemd's, called by several users.

use std::os::unix::net::UnixListener;

use serde_json::{Value, json};

use crate::process::{Program, accept};
use crate::support::{Client, StubHub, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn callers_wait_in_the_socket_that_systemd_opened_while_the_agent_restarts() {
    let hub = StubHub::away().await;
    let program = Program::of(&hub);
    let listener = UnixListener::bind(program.socket()).unwrap();
    let mut running = program.run_activated(&listener).await;
    accept(&program.socket(), 1).await;
    running.end();
    assert!(program.socket().exists(), "the socket is the manager's");
    // Nobody is there to answer, and nobody is refused.
    let socket = program.socket();
    let waiting = tokio::spawn(async move { accept(&socket, 2).await });
    let _running = program.run_activated(&listener).await;
    waiting.await.unwrap();
    let status = Client::socket(&program.socket()).await.get("/agent/status").await.json();
    assert_eq!(status["buffered"], 2);
    assert!(program.log().contains("activated=true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_of_several_shops_have_nothing_in_common() {
    let (mates_hub, books_hub) = (StubHub::start().await, StubHub::start().await);
    books_hub.set_project("prj_0192f0c1d2e37a4b8c5d6e7f80910000");
    let (mates, mut books) = (Program::of(&mates_hub), Program::of(&books_hub));
    let (_mates, _books) = (mates.run().await, books.run().await);
    let of_mates = accept(&mates.socket(), 1).await;
    let of_books = accept(&books.socket(), 1).await;
    for (hub, own) in [(&mates_hub, &of_mates), (&books_hub, &of_books)] {
        eventually("its own call arrives", async || hub.taken().contains_key(own).then_some(())).await;
        assert_eq!(hub.taken().len(), 1, "another shop's call came as well");
    }
    // A shop that calls the wrong socket learns it at once.
    let body = json!({"type": "stock.low", "data": {}});
    let key = mates_hub.key();
    let mut wrong = Client::socket(&books.socket()).await;
    assert_eq!(wrong.post("/v1/events", &[("x-api-key", key.expose())], &body).await.status, 401);
    // And a second agent on the same directory does not start.
    books.set("TRASTIENDA_SOCKET", books.directory().join("second.sock").display());
    let refused = books.ask("run").await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("another agent uses the data directory"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_is_in_the_log() {
    let hub = StubHub::away().await;
    let mut program = Program::of(&hub);
    program.set("TRASTIENDA_LOG", "debug");
    program.set("TRASTIENDA_LOG_FORMAT", "json");
    let _running = program.run().await;
    accept(&program.socket(), 1).await;
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(program.directory()).unwrap());
    let me = std::process::id();
    let peers: Vec<Value> = program
        .log()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|fields| fields["peer.uid"].is_number())
        .collect();
    let first: Vec<_> =
        peers.iter().filter(|peer| peer["message"].as_str().unwrap().contains("first time")).collect();
    assert!(matches!(first.as_slice(), [peer] if peer["peer.uid"] == own), "{peers:?}");
    assert!(peers.iter().any(|peer| peer["peer.pid"] == me && peer["peer.uid"] == own), "{peers:?}");
}
