use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::world::client;

#[tokio::test]
async fn the_program_says_where_it_listens_and_stops_when_told() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_trastienda-mercadopago-sim"))
        .args(["--listen", "127.0.0.1:0", "--seed", "7"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let url = line.strip_prefix("listening on ").unwrap();
    let sellers = client().get(format!("{url}/control/sellers")).send().await.unwrap();
    assert_eq!(sellers.status(), 200);

    let id = program.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(10), program.wait()).await.unwrap().unwrap();
    assert!(ended.success());
}
