//! Our signatures, verified by code that is not ours: the public packages of Standard Webhooks for Python and Node.

use anyhow::Context as _;
use e2e::{Fleet, Hub, Project, Verified, Verifier, until};
use serde_json::{Value, json};
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::webhook::{HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, Secret};

/// Posts an event and waits until every verifier has one webhook more under its id.
async fn deliver(
    hub: &Hub,
    project: &Project,
    verifiers: &[Verifier],
    data: Value,
) -> anyhow::Result<Vec<Verified>> {
    let event = hub.post(project, "/v1/events", json!({"type": "quote.made", "data": data})).await?;
    let id = event["id"].as_str().context("no id")?;
    let mut all = Vec::new();
    for verifier in verifiers {
        let found = until("the webhook arrives", async || {
            Ok(verifier.seen().await?.into_iter().find(|seen| seen.id == id))
        });
        all.push(found.await?);
    }
    Ok(all)
}

#[tokio::test]
async fn python_and_node_verify_what_a_hub_sends() -> anyhow::Result<()> {
    let fleet = Fleet::start(1).await?;
    let (hub, project) = (&fleet.hubs[0], fleet.create_project().await?);
    let verifiers = Verifier::start_all(&fleet.directory).await?;
    let mut endpoints = Vec::new();
    for verifier in &verifiers {
        let body = json!({"url": verifier.url(), "events": ["*"]});
        let made = hub.post(&project, "/v1/webhook-endpoints", body).await?;
        verifier.trust(made["secret"].as_str().context("no secret")?).await?;
        endpoints.push(format!("/v1/webhook-endpoints/{}", made["id"].as_str().context("no id")?));
    }

    // Whatever an event says, down to the byte.
    let large = "ñandú ✓ ".repeat(20_000);
    for data in [
        json!({}),
        json!({"note": "ñandú ✓ \u{1f9c9} \"\\/\u{8}\u{c}\n\r\t\u{7f}\u{2028} </script>", "n": [0, -1.5e-7, 1e21, null]}),
        json!({"note": large}),
    ] {
        for seen in deliver(hub, &project, &verifiers, data.clone()).await? {
            assert_eq!((seen.signatures, &seen.verified_by[..]), (1, &[0][..]), "{:?}", seen.error);
            assert_eq!(seen.data, data);
        }
    }

    // While a rotation overlaps, the old secret and the new one both do; after one without overlap, the newest alone.
    for (overlap, signatures, verified_by) in [(3_600, 2, &[0, 1][..]), (0, 1, &[2][..])] {
        for (endpoint, verifier) in endpoints.iter().zip(&verifiers) {
            let body = json!({"overlap_seconds": overlap});
            let rotated = hub.post(&project, &format!("{endpoint}/rotate-secret"), body).await?;
            verifier.trust(rotated["secret"].as_str().context("no secret")?).await?;
        }
        for seen in deliver(hub, &project, &verifiers, json!({"overlap": overlap})).await? {
            assert_eq!(
                (seen.signatures, &seen.verified_by[..]),
                (signatures, verified_by),
                "{:?}",
                seen.error
            );
        }
    }

    // What a verifier has answered is replayed once the hub has written that down.
    until("everything is written as sent", async || {
        let open = "select count(*) from webhook_deliveries where status <> 'sent'";
        Ok((fleet.postgres.count(open).await? == 0).then_some(()))
    })
    .await?;

    // A replay is signed anew, under the same id.
    for (endpoint, verifier) in endpoints.iter().zip(&verifiers) {
        let before = verifier.seen().await?;
        let body = json!({"since": "2026-01-01T00:00:00Z", "status": "all"});
        let replayed = hub.post(&project, &format!("{endpoint}/replay"), body).await?;
        assert_eq!(replayed["queued"], before.len(), "{}", verifier.name);
        let seen = until("the replay arrives", async || {
            let seen = verifier.seen().await?;
            Ok((seen.len() == 2 * before.len()).then_some(seen))
        })
        .await?;
        for again in &seen[before.len()..] {
            assert!(again.replay.as_ref().is_some_and(|id| id.starts_with("whd_")), "{again:?}");
            assert_eq!(again.verified_by, [2], "{:?}", again.error);
            assert!(before.iter().any(|earlier| earlier.id == again.id && earlier.replay.is_none()));
        }
    }
    // Not one of them was refused, then or now.
    let refused = "select count(*) from webhook_logs where status <> 'sent'";
    assert_eq!(fleet.postgres.count(refused).await?, 0, "a verifier refused a webhook of the hub's");
    drop(verifiers);
    fleet.stop().await
}

#[tokio::test]
async fn python_and_node_refuse_what_was_tampered_with_or_is_old() -> anyhow::Result<()> {
    let directory = e2e::Directory::new()?;
    let secret = Secret::generate()?;
    let (id, now) = ("evt_01900000000070008000000000000001", SystemClock.now().timestamp());
    let body = r#"{"id":"evt_01900000000070008000000000000001","data":{"total":"1.00"}}"#;
    for verifier in Verifier::start_all(&directory).await? {
        verifier.trust(&secret.expose()).await?;
        let signed = |timestamp: i64| secret.sign(id, timestamp, body.as_bytes());
        let other = Secret::generate()?.sign(id, now, body.as_bytes());
        let both = format!("{other} {}", signed(now));
        let cases = [
            ("as it was sent", id, now, signed(now), body, None),
            ("one of two signatures", id, now, both, body, None),
            (
                "another body",
                id,
                now,
                signed(now),
                r#"{"data":{"total":"9.00"}}"#,
                Some("No matching signature"),
            ),
            ("a space more", id, now, signed(now), &format!("{body} "), Some("No matching signature")),
            (
                "another id",
                "evt_01900000000070008000000000000002",
                now,
                signed(now),
                body,
                Some("No matching"),
            ),
            ("another time", id, now + 1, signed(now), body, Some("No matching signature")),
            ("another secret", id, now, other, body, Some("No matching signature")),
            ("old", id, now - 400, signed(now - 400), body, Some("too old")),
            ("from the future", id, now + 400, signed(now + 400), body, Some("too new")),
        ];
        for (what, id, timestamp, signature, body, refusal) in cases {
            let headers = [
                (HEADER_ID, id.to_owned()),
                (HEADER_TIMESTAMP, timestamp.to_string()),
                (HEADER_SIGNATURE, signature),
            ];
            let (status, error) = verifier.send(headers, body).await?;
            let expected = if refusal.is_some() { 401 } else { 200 };
            assert_eq!(status, expected, "{}: {what}: {error}", verifier.name);
            assert!(error.contains(refusal.unwrap_or_default()), "{}: {what}: {error}", verifier.name);
        }
    }
    Ok(())
}
