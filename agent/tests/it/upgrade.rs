//! A buffer that an earlier agent made is taken over whole.

use serde_json::json;
use trastienda_protocol::fingerprint::fingerprint;

use crate::support::{StubHub, TestAgent};

const SCHEMA_V1: &str = include_str!("schema_v1.sql");
const KEY: [u8; 32] = [7; 32];

#[tokio::test]
async fn a_buffer_of_the_previous_schema_is_kept_whole() {
    let mut hub = StubHub::away().await;
    let mut agent = TestAgent::prepare(&hub, |_| {});
    std::fs::create_dir_all(&agent.config.data_dir).unwrap();
    let old = rusqlite::Connection::open(agent.config.data_dir.join("buffer.db")).unwrap();
    old.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
    old.execute_batch(&format!("{SCHEMA_V1}\nPRAGMA user_version = 1;")).unwrap();
    let now = agent.now().timestamp_millis();
    let body = |number: u8| json!({"type": "stock.low", "data": {"number": number}});
    old.execute("INSERT INTO meta VALUES ('agent_id', ?1), ('fingerprint_key', ?2)", (b"agent-old", KEY))
        .unwrap();
    for number in 1..=4u8 {
        let (id, text) = ([number; 16], body(number).to_string());
        let print = fingerprint(&KEY, &body(number));
        // 1 was forwarded, 2 is dead, 3 and 4 wait.
        let forwarded_at = (number == 1).then_some(now);
        old.execute(
            "INSERT INTO receipts VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)",
            (number, id, format!("key-{number}"), print, now, forwarded_at),
        )
        .unwrap();
        let insert = match number {
            1 => continue,
            2 => {
                "INSERT INTO dead_letters VALUES (?1, 1, ?2, ?3, NULL, ?4, NULL, 0, ?4, 'refused', NULL, NULL, ?5)"
            }
            _ => {
                "INSERT INTO operations (seq, kind, id, idempotency_key, accepted_at, body) VALUES (?1, 1, ?2, ?3, ?4, ?5)"
            }
        };
        old.execute(insert, (number, id, format!("key-{number}"), now, text.as_bytes())).unwrap();
    }
    old.close().unwrap();

    agent.start_again().await;
    let status = agent.status().await;
    assert_eq!((&status["buffered"], &status["dead_letters"]), (&json!(2), &json!(1)));
    // All four answer repeats, and another body is refused.
    for number in 1..=4u8 {
        let mut client = agent.client().await;
        let key = format!("key-{number}");
        let repeat = client.post("/v1/events", &[("idempotency-key", &key)], &body(number)).await;
        assert_eq!(repeat.header("idempotent-replayed"), Some("true"), "{}", repeat.text());
        let other = client.post("/v1/events", &[("idempotency-key", &key)], &body(99)).await;
        assert_eq!(other.problem(), "idempotency_key_reused");
    }
    hub.come().await;
    agent.until("buffered", 0).await;
    assert_eq!(hub.taken().len(), 2);
    // Once is enough: a second start finds the new one.
    agent.stop().await;
    agent.start_again().await;
    assert_eq!(agent.status().await["dead_letters"], 1);
}
