//! `doctor`: each thing that can be wrong is found, named, and nothing else is.

use std::process::Output;

use chrono::TimeDelta;
use serde_json::json;
use trastienda_protocol::clock::{Clock as _, SystemClock};

use crate::process::{Program, accept};
use crate::support::{Client, StubHub, eventually};

/// What it complains of, and whether it ended well.
async fn complaints(program: &Program) -> (Vec<String>, bool) {
    let Output { stdout, status, .. } = program.ask("doctor").await;
    let said = String::from_utf8(stdout).unwrap();
    let bad = said.lines().filter_map(|line| line.strip_prefix("MAL   ")).map(str::to_owned).collect();
    (bad, status.success())
}

/// There is exactly this to complain of.
async fn finds(program: &Program, what: &str) {
    let (found, well) = complaints(program).await;
    assert!(!well, "it ends well with {found:?}");
    // A busy machine's disk may be slow beside whatever is looked for.
    let found: Vec<_> = found.iter().filter(|line| !line.contains("TRASTIENDA_DURABILITY")).collect();
    assert!(matches!(found.as_slice(), [only] if only.contains(what)), "{what}: {found:?}");
}

async fn status(program: &Program) -> serde_json::Value {
    Client::socket(&program.socket()).await.get("/agent/status").await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_agent_is_told_to_be_sound() {
    let hub = StubHub::start().await;
    let program = Program::of(&hub);
    let _running = program.run().await;
    let (found, well) = complaints(&program).await;
    let slow = found.iter().all(|line| line.contains("TRASTIENDA_DURABILITY"));
    assert!(slow && well == found.is_empty(), "{found:?}");
    let said = String::from_utf8(program.ask("doctor").await.stdout).unwrap();
    for good in ["La configuración es válida", "No hay cartas muertas", "El agente responde", "proyecto prj_"]
    {
        assert!(said.lines().any(|line| line.starts_with("bien") && line.contains(good)), "{good}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_and_a_directory_that_is_none_are_found_without_an_agent() {
    let hub = StubHub::start().await;
    let mut program = Program::of(&hub);
    finds(&program, "Nadie responde en").await;
    let file = program.directory().join("file");
    std::fs::write(&file, "").unwrap();
    program.set("TRASTIENDA_AGENT_DATA_DIR", file.display());
    let (found, _) = complaints(&program).await;
    assert!(found.iter().any(|line| line.contains("No se puede escribir en")), "{found:?}");
    program.set("TRASTIENDA_API_KEY", "");
    let output = program.ask("doctor").await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("TRASTIENDA_API_KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_refuses_or_is_away_is_found() {
    let mut hub = StubHub::start().await;
    let program = Program::of(&hub);
    let _running = program.run().await;
    hub.set_date(SystemClock.now() + TimeDelta::minutes(10));
    finds(&program, "El reloj de esta máquina difiere").await;
    hub.set_date(SystemClock.now());
    hub.rotate(None);
    finds(&program, "RECHAZA la clave").await;
    hub.rotate(Some(hub.key()));
    hub.deactivate();
    finds(&program, "El proyecto está inactivo").await;
    hub.go().await;
    finds(&program, "no responde").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buffer_that_fills_and_dead_letters_are_found() {
    let mut hub = StubHub::start().await;
    hub.judge(|_| (422, json!({"code": "validation_failed"})));
    let mut program = Program::of(&hub);
    program.set("TRASTIENDA_BUFFER_MAX_ROWS", 10);
    let _running = program.run().await;
    let id = accept(&program.socket(), 1).await;
    eventually("it is refused", async || (status(&program).await["dead_letters"] == 1).then_some(())).await;
    finds(&program, "Hay cartas muertas").await;
    assert!(program.ask(&format!("queue discard {id}")).await.status.success());
    hub.go().await;
    for number in 0..8 {
        accept(&program.socket(), number).await;
    }
    hub.come().await;
    hub.judge(|_| (503, json!({"code": "unavailable"})));
    finds(&program, "El búfer está al 80 %").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_buffer_is_found_before_and_after_the_agent_set_it_aside() {
    let hub = StubHub::start().await;
    let program = Program::of(&hub);
    program.run().await.end();
    std::fs::write(program.directory().join("data/buffer.db"), vec![b'x'; 64 * 1024]).unwrap();
    let (found, _) = complaints(&program).await;
    assert!(found.iter().any(|line| line.contains("El búfer no se puede leer")), "{found:?}");
    let _running = program.run().await;
    finds(&program, "Hay bases dañadas").await;
}
