//! Deliveries and polls, without a database.

use std::collections::BTreeMap;

use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::ids::{DeliveryId, Id as _, IdSource as _, RandomIds};
use trastienda_protocol::pull::{PullResult, PulledDelivery};

use super::exchange::{Handed, Poll};
use super::*;

const PROJECT: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

fn exchange() -> Arc<Exchange> {
    Pull::new(Manner::default(), Arc::default()).exchange
}

fn delivery(number: u128) -> PulledDelivery {
    PulledDelivery {
        id: DeliveryId::from_uuid(Uuid::from_u128(number)),
        lease: String::new(),
        lease_seconds: 0,
        path: "/hook".to_owned(),
        headers: BTreeMap::new(),
        body: "{}".to_owned(),
    }
}

fn take(poll: &Poll) -> Vec<PulledDelivery> {
    poll.take(7, || RandomIds.uuid(SystemClock.now()))
}

fn lease(delivery: &PulledDelivery) -> Uuid {
    let (hub, lease) = queue::parse_lease(&delivery.lease).unwrap();
    assert_eq!(hub, 7);
    lease
}

fn handed(mut offered: tokio::sync::oneshot::Receiver<Handed>) -> Handed {
    offered.try_recv().unwrap()
}

#[tokio::test]
async fn agents_that_wait_share_what_comes() {
    let exchange = exchange();
    let polls = [exchange.poll(PROJECT, "a", 100).unwrap(), exchange.poll(PROJECT, "b", 100).unwrap()];
    let _offered: Vec<_> = (0..10).map(|number| exchange.offer(PROJECT, delivery(number))).collect();
    let first = take(&polls[0]);
    polls.into_iter().next().unwrap().answered();
    assert_eq!(first.len(), 5);
}

#[tokio::test]
async fn a_poll_takes_no_more_than_it_asked_for_and_nothing_of_another_project() {
    let exchange = exchange();
    let poll = exchange.poll(PROJECT, "a", 3).unwrap();
    let other = exchange.poll(OTHER, "a", 3).unwrap();
    let _offered: Vec<_> = (0..10).map(|number| exchange.offer(PROJECT, delivery(number))).collect();
    assert!(take(&other).is_empty());
    assert_eq!(take(&poll).len(), 3);
}

#[tokio::test]
async fn only_the_agent_that_polled_completes_a_lease_and_only_once() {
    let exchange = exchange();
    let poll = exchange.poll(PROJECT, "a", 1).unwrap();
    let offered = exchange.offer(PROJECT, delivery(1));
    let lease = lease(&take(&poll)[0]);
    let mut handed = handed(offered);
    let result = || PullResult { response_code: Some(200), ..PullResult::default() };
    assert!(!exchange.report(OTHER, "a", lease, result()));
    assert!(!exchange.report(PROJECT, "b", lease, result()));
    assert!(handed.result.try_recv().is_err());
    assert!(exchange.report(PROJECT, "a", lease, result()));
    assert_eq!(handed.result.try_recv().unwrap().response_code, Some(200));
    assert!(!exchange.report(PROJECT, "a", lease, result()), "it counted twice");
}

#[tokio::test]
async fn a_result_that_comes_after_its_lease_changes_nothing() {
    let exchange = exchange();
    let poll = exchange.poll(PROJECT, "a", 1).unwrap();
    let offered = exchange.offer(PROJECT, delivery(1));
    let lease = lease(&take(&poll)[0]);
    drop(handed(offered));
    assert!(!exchange.report(PROJECT, "a", lease, PullResult::default()));
}

#[tokio::test]
async fn an_offer_that_was_given_up_is_taken_by_nobody() {
    let exchange = exchange();
    drop(exchange.offer(PROJECT, delivery(1)));
    let poll = exchange.poll(PROJECT, "a", 5).unwrap();
    assert!(take(&poll).is_empty());
}

#[tokio::test]
async fn an_agent_whose_poll_broke_off_loses_its_leases_unless_it_comes_back() {
    for comes_back in [false, true] {
        let manner = Manner { absence: Duration::from_millis(100), ..Manner::default() };
        let exchange = Pull::new(manner, Arc::default()).exchange;
        let poll = exchange.poll(PROJECT, "a", 1).unwrap();
        let offered = exchange.offer(PROJECT, delivery(1));
        assert_eq!(take(&poll).len(), 1);
        poll.answered();
        let handed = handed(offered);
        drop(exchange.poll(PROJECT, "a", 1).unwrap());
        let _back = comes_back.then(|| exchange.poll(PROJECT, "a", 1).unwrap());
        let patience = Duration::from_millis(if comes_back { 400 } else { 10_000 });
        let ended = tokio::time::timeout(patience, handed.result).await;
        assert_eq!(ended.is_err(), comes_back, "{ended:?}");
    }
}

#[tokio::test]
async fn the_table_is_looked_at_for_those_who_wait_and_only_for_what_came() {
    let exchange = exchange();
    assert!(exchange.to_ask().is_none(), "nobody waits");
    let _polls = [exchange.poll(PROJECT, "a", 3).unwrap(), exchange.poll(OTHER, "a", 5).unwrap()];
    // The second that has begun is over some time; then all that wait are asked for.
    let all = async {
        loop {
            if let Some(asked) = exchange.to_ask().filter(|asked| asked.projects.len() == 2) {
                return asked;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(10), all).await.unwrap();
    assert_eq!(asked.room, 5);
    assert!(exchange.to_ask().is_none());
    exchange.look(PROJECT);
    let asked = exchange.to_ask().unwrap();
    assert_eq!((asked.projects, asked.room), (vec![PROJECT], 3));
}

#[tokio::test]
async fn a_poll_that_is_gone_leaves_its_turn_to_the_next() {
    let exchange = exchange();
    let gone = exchange.poll(PROJECT, "a", 1).unwrap();
    let next = exchange.poll(PROJECT, "b", 1).unwrap();
    let _offered = exchange.offer(PROJECT, delivery(1));
    drop(gone);
    next.woken().await;
    assert_eq!(take(&next).len(), 1);
}
