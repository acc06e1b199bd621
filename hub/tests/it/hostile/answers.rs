//! Hangs, drips, floods, breaks off, speaks garbage, sends elsewhere, answers late.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgPool;
use tokio::io::AsyncWriteExt as _;

use super::{PATIENCE, attempted, endpoint, impatient_hub, send};
use crate::support::{Receiver, Script, Wire, say, say_and_close};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What becomes of the first attempt: the status read and a part of the error, or success.
enum Outcome {
    Sent,
    Failed(Option<i64>, &'static str),
}

use Outcome::{Failed, Sent};

/// Never answers, and keeps the connection.
fn hang() -> Script {
    Arc::new(|_, stream| {
        Box::pin(async move {
            std::future::pending::<()>().await;
            Some(stream)
        })
    })
}

/// Says a beginning, and then one piece after the other until nobody listens. Counts what was taken.
fn go_on(start: &'static [u8], piece: Vec<u8>, pause: Duration, taken: Arc<AtomicUsize>) -> Script {
    let piece = Arc::new(piece);
    Arc::new(move |_, mut stream| {
        let (piece, taken) = (piece.clone(), taken.clone());
        Box::pin(async move {
            stream.write_all(start).await.ok()?;
            loop {
                stream.write_all(&piece).await.ok()?;
                taken.fetch_add(piece.len(), Ordering::SeqCst);
                tokio::time::sleep(pause).await;
            }
        })
    })
}

#[sqlx::test(migrations = "../migrations")]
async fn a_hostile_receiver_costs_itself_an_attempt_and_nobody_else_anything(pool: PgPool) {
    let (test, key) = impatient_hub(pool, Vec::new()).await;
    let (healthy, elsewhere) = (Receiver::start().await, Wire::start(say(OK)).await);
    let flooded: [Arc<AtomicUsize>; 3] = Default::default();
    let (none, drip) = (Duration::ZERO, PATIENCE / 4);
    let redirect: &'static str =
        format!("HTTP/1.1 301 Moved\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url()).leak();
    let endless = go_on(
        b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n",
        vec![b'x'; 65_536],
        none,
        flooded[0].clone(),
    );
    let chunks = go_on(
        b"HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n",
        [b"10000\r\n".to_vec(), vec![b'x'; 65_536], b"\r\n".to_vec()].concat(),
        none,
        flooded[1].clone(),
    );
    let headers =
        go_on(b"HTTP/1.1 200 OK\r\n", b"x-more: of the same\r\n".repeat(100), none, flooded[2].clone());
    let drip_head = go_on(b"HTTP/1.1 200 O", b"K".to_vec(), drip, Arc::default());
    let drip_body =
        go_on(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n", b".".to_vec(), drip, Arc::default());
    let (late_hints, refusing) = (
        say(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        say(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
    );
    let cases: Vec<(&str, Script, Outcome)> = vec![
        ("hang", hang(), Failed(None, "timed out")),
        ("drip-head", drip_head, Failed(None, "timed out")),
        // The head of a 2xx is the answer; its body is read for the log only.
        ("drip-body", drip_body, Sent),
        ("flood", endless, Sent),
        ("flood-in-chunks", chunks, Failed(Some(500), "answered 500")),
        ("flood-of-headers", headers, Failed(None, "")),
        ("close-before-head", say_and_close(b""), Failed(None, "broke off")),
        ("close-in-head", say_and_close(b"HTTP/1.1 200 O"), Failed(None, "broke off")),
        ("close-in-body", say_and_close(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf"), Sent),
        ("garbage", say_and_close(b"\x16\x03\x01\0\xff\r\n\r\n"), Failed(None, "broke off")),
        ("another-protocol", say(b"SSH-2.0-OpenSSH_9.2\r\n"), Failed(None, "broke off")),
        ("elsewhere", say(redirect.as_bytes()), Failed(Some(301), "answered 301")),
        ("hints-first", late_hints, Sent),
        ("another-protocol-offered", refusing, Failed(Some(101), "answered 101")),
        ("no-content", say(b"HTTP/1.1 204 No Content\r\n\r\n"), Sent),
        ("not-modified", say(b"HTTP/1.1 304 Not Modified\r\n\r\n"), Failed(Some(304), "answered 304")),
    ];
    let mut types = Vec::new();
    for (name, script, _) in &cases {
        let wire = Wire::start(script.clone()).await;
        types.push((endpoint(&test, &key, name, &wire.url(), &[3_600]).await, wire));
    }
    let (_, other) = test.project().await;
    let body = json!({"url": healthy.url(), "events": ["*"]});
    assert_eq!(test.post(&other, "/v1/webhook-endpoints", body).await.status, 201);

    let started = Instant::now();
    for (event_type, _) in &types {
        send(&test, &key, event_type).await;
        for _ in 0..3 {
            send(&test, &other, "stock.counted").await;
        }
    }
    for ((name, _, outcome), (event_type, wire)) in cases.iter().zip(&types) {
        let delivery = attempted(&test, &key, event_type, 1).await;
        let (status, code) = (delivery["status"].as_str().unwrap(), delivery["last_response_code"].as_i64());
        let error = delivery["last_error"].as_str().unwrap_or_default();
        match outcome {
            Sent => {
                assert!(status == "sent" && code.is_some_and(|code| code / 100 == 2), "{name}: {delivery}");
            }
            Failed(expected, part) => {
                assert!(
                    status == "pending" && code == *expected && error.contains(part),
                    "{name}: {delivery}"
                );
            }
        }
        let attempt = &delivery["attempts"][0];
        assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1, "{name}: {delivery}");
        assert!(attempt["response"].as_str().unwrap_or_default().len() <= 1_024, "{name}: {delivery}");
        // The machine may be busy elsewhere; the hub itself has given up after two seconds.
        assert!(attempt["duration_ms"].as_u64().unwrap() < 8_000, "{name}: {delivery}");
        assert_eq!(wire.connections(), 1, "{name}");
    }
    test.until("the healthy one has all", async || {
        (healthy.received().len() == 3 * cases.len()).then_some(())
    })
    .await;
    assert_eq!(elsewhere.connections(), 0);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    // What lies in the buffers of two sockets, and not 100 MB.
    for taken in flooded {
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken < 16_000_000, "{taken} bytes were taken");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_success_that_comes_too_late_is_a_failure_and_comes_again_under_its_id(pool: PgPool) {
    let (test, key) = impatient_hub(pool, Vec::new()).await;
    let late: Script = Arc::new(|number, mut stream| {
        Box::pin(async move {
            if number == 0 {
                tokio::time::sleep(PATIENCE * 2).await;
            }
            stream.write_all(OK).await.ok()?;
            Some(stream)
        })
    });
    let wire = Wire::start(late).await;
    let event_type = endpoint(&test, &key, "late", &wire.url(), &[60]).await;
    send(&test, &key, &event_type).await;
    let delivery = attempted(&test, &key, &event_type, 1).await;
    assert_eq!(delivery["status"], "pending", "{delivery}");
    assert!(delivery["last_error"].as_str().unwrap().contains("timed out"), "{delivery}");
    test.clock.advance(TimeDelta::seconds(90));
    let delivery = attempted(&test, &key, &event_type, 2).await;
    assert_eq!(delivery["status"], "sent", "{delivery}");
    let ids = wire.header("webhook-id");
    assert!(ids.len() == 2 && ids[0].starts_with("evt_") && ids[0] == ids[1], "{ids:?}");
    // Not on the connection that the late answer may still come through.
    assert_eq!(wire.connections(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_port_where_nobody_listens_is_a_failure_that_says_so(pool: PgPool) {
    let (test, key) = impatient_hub(pool, Vec::new()).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let event_type = endpoint(&test, &key, "nobody", &format!("http://127.0.0.1:{port}/"), &[3_600]).await;
    send(&test, &key, &event_type).await;
    let delivery = attempted(&test, &key, &event_type, 1).await;
    assert!(delivery["last_error"].as_str().unwrap().contains("could not connect"), "{delivery}");
}

#[sqlx::test(migrations = "../migrations")]
async fn retry_after_is_obeyed_where_it_may_be_said_and_up_to_a_day(pool: PgPool) {
    let (test, key) = impatient_hub(pool, Vec::new()).await;
    let in_five_minutes = (test.now() + TimeDelta::minutes(5)).to_rfc2822().replace("+0000", "GMT");
    let day = 86_400;
    let cases = [
        ("seconds", "429", "120", 120),
        ("seconds-503", "503", "120", 120),
        ("date", "503", in_five_minutes.as_str(), 299),
        ("large", "429", "999999999", day),
        ("absurd", "429", "99999999999999999999999999999999", day),
        ("far-date", "503", "Thu, 31 Dec 2099 23:59:59 GMT", day),
        // What is not said, cannot be meant, or may not be said with this status: the schedule's ten seconds.
        ("negative", "429", "-5", 10),
        ("words", "429", "soon", 10),
        ("past", "503", "Wed, 21 Oct 2015 07:28:00 GMT", 10),
        ("shorter", "429", "1", 10),
        ("another-status", "500", "120", 10),
        ("redirect", "302", "120", 10),
    ];
    let mut types = Vec::new();
    for (name, status, retry_after, _) in cases {
        let answer =
            format!("HTTP/1.1 {status} No\r\nretry-after: {retry_after}\r\ncontent-length: 0\r\n\r\n");
        let wire = Wire::start(say(answer.leak().as_bytes())).await;
        types.push(endpoint(&test, &key, name, &wire.url(), &[10]).await);
    }
    for event_type in &types {
        send(&test, &key, event_type).await;
    }
    for ((name, .., seconds), event_type) in cases.iter().zip(&types) {
        let delivery = attempted(&test, &key, event_type, 1).await;
        let next = trastienda_protocol::time::parse(delivery["next_attempt_at"].as_str().unwrap()).unwrap();
        let wait = next - test.now();
        let (least, most) = (TimeDelta::seconds(*seconds), TimeDelta::seconds(*seconds + 6));
        assert!(least <= wait && wait <= most, "{name}: {wait} and not {seconds} s");
    }
}
