//! What is in hand, endpoint by endpoint.

use chrono::DateTime;

use super::*;
use crate::queue::in_hand::InHand;
use crate::webhooks::store::Target;

const ENDPOINT: Uuid = Uuid::from_u128(1);
const QUICKLY: Duration = Duration::from_millis(3);

fn delivery(number: u128) -> ClaimedDelivery {
    let target = Target {
        project_id: Uuid::nil(),
        id: ENDPOINT,
        url: "https://shop.example.com/hooks".to_owned(),
        events: vec!["*".to_owned()],
        ordered: false,
        is_holding: false,
        is_failing: false,
        max_in_flight: 1,
        rate_per_second: None,
        retry_schedule: None,
        headers_sealed: None,
        secret_sealed: Vec::new(),
        previous_secret_sealed: None,
        previous_secret_expires_at: Some(DateTime::UNIX_EPOCH),
    };
    ClaimedDelivery {
        project_id: Uuid::nil(),
        id: Uuid::from_u128(number),
        event_id: Uuid::nil(),
        event_type: "order.created".to_owned(),
        attempts: 0,
        is_replay: false,
        is_probe: false,
        replay_rate: None,
        lease: Arc::new(InHand::default()).take(Uuid::nil()),
        target: Arc::new(target),
    }
}

fn follower(number: u128) -> Follower {
    Follower { delivery: delivery(number), body: Bytes::new(), since: Instant::now() }
}

fn now(in_flight: &Arc<InFlight>, limit: i32) -> Option<Slot> {
    match in_flight.room(ENDPOINT, limit, false)? {
        Room::Now(slot) => Some(slot),
        Room::Next(_) => None,
    }
}

/// A delivery that was written while the endpoint was full.
fn write(in_flight: &Arc<InFlight>, number: u128, limit: i32) -> bool {
    match in_flight.room(ENDPOINT, limit, false) {
        Some(Room::Next(expected)) => expected.arrived(delivery(number), Bytes::new()),
        Some(Room::Now(_)) | None => return false,
    }
    true
}

fn learn(in_flight: &InFlight, came: i32, limit: i32) {
    let busy = in_flight.busy();
    let ahead = busy.ahead_of(ENDPOINT, limit);
    let claimed = if came > 0 { [(ENDPOINT, Claimed { came, limit, ahead })].into() } else { HashMap::new() };
    in_flight.learn(&busy, &claimed, 100);
}

fn is_empty(in_flight: &InFlight) -> bool {
    let endpoints = in_flight.lock();
    endpoints.by_id.is_empty() && endpoints.ahead == 0
}

#[test]
fn a_place_is_free_again_when_its_delivery_ends() {
    let in_flight = Arc::new(InFlight::default());
    let first = now(&in_flight, 1).unwrap();
    assert!(now(&in_flight, 1).is_none());
    drop(first);
    assert!(now(&in_flight, 1).is_some());
    assert!(is_empty(&in_flight));
}

#[test]
fn what_waits_in_the_table_goes_first() {
    let in_flight = Arc::new(InFlight::default());
    in_flight.mark_behind(ENDPOINT);
    assert!(in_flight.room(ENDPOINT, 10, false).is_none());
    learn(&in_flight, 30, 10);
    assert!(in_flight.is_behind(ENDPOINT), "all that was asked for came: there may be more");
    learn(&in_flight, 3, 10);
    assert!(now(&in_flight, 10).is_some());
}

#[test]
fn an_endpoint_that_could_not_be_asked_may_be_behind() {
    let in_flight = Arc::new(InFlight::default());
    let held = in_flight.take(follower(1), 1, true, true).unwrap();
    learn(&in_flight, 0, 1);
    assert!(in_flight.is_behind(ENDPOINT), "an ordered endpoint has one under way and is asked for no other");
    drop(held);
    learn(&in_flight, 0, 1);
    assert!(!in_flight.is_behind(ENDPOINT));
}

#[test]
fn what_is_written_for_a_full_endpoint_follows_in_its_order() {
    let in_flight = Arc::new(InFlight::default());
    let first = now(&in_flight, 1).unwrap();
    for number in 0..10 {
        assert!(write(&in_flight, number, 1));
    }
    assert!(in_flight.room(ENDPOINT, 1, false).is_none(), "ten for each that may be under way, and no more");
    drop(first);
    for number in 0..10 {
        let job = in_flight.follow(ENDPOINT, true, QUICKLY).unwrap();
        assert!(!job.goes_back);
        assert_eq!(job.delivery.id, Uuid::from_u128(number));
        assert!(in_flight.follow(ENDPOINT, true, QUICKLY).is_none(), "the one place is taken");
    }
    assert!(in_flight.follow(ENDPOINT, true, QUICKLY).is_none());
    assert!(is_empty(&in_flight));
}

#[test]
fn what_was_not_written_leaves_its_place() {
    let in_flight = Arc::new(InFlight::default());
    let first = now(&in_flight, 1).unwrap();
    let expected = in_flight.room(ENDPOINT, 1, false);
    assert!(matches!(expected, Some(Room::Next(_))));
    drop(expected);
    drop(first);
    assert!(is_empty(&in_flight));
}

#[test]
fn after_a_failure_others_go_on_and_the_last_gives_the_rest_back() {
    let in_flight = Arc::new(InFlight::default());
    let (first, second) = (now(&in_flight, 2).unwrap(), now(&in_flight, 2).unwrap());
    assert!(write(&in_flight, 1, 2) && write(&in_flight, 2, 2));
    drop(first);
    assert!(in_flight.follow(ENDPOINT, false, QUICKLY).is_none(), "the second is still under way");
    drop(second);
    for number in [1, 2] {
        let job = in_flight.follow(ENDPOINT, false, QUICKLY).unwrap();
        assert!(job.goes_back);
        assert_eq!(job.delivery.id, Uuid::from_u128(number));
    }
    assert!(in_flight.is_behind(ENDPOINT), "the table holds them again");
}

#[test]
fn what_nobody_was_there_to_take_is_ready() {
    let in_flight = Arc::new(InFlight::default());
    let first = now(&in_flight, 1).unwrap();
    assert!(write(&in_flight, 1, 1));
    assert!(in_flight.ready(None, 5).is_empty(), "no place is free");
    // Its worker is gone without asking for what follows.
    drop(first);
    assert!(in_flight.ready(None, 0).is_empty(), "no worker is free");
    assert!(in_flight.ready(Some(&[Uuid::nil()]), 5).is_empty(), "it is another endpoint's");
    assert_eq!(in_flight.ready(Some(&[ENDPOINT]), 5).len(), 1);
    assert!(is_empty(&in_flight));
}

#[test]
fn a_slow_endpoint_s_deliveries_wait_in_the_table() {
    let in_flight = Arc::new(InFlight::default());
    let first = now(&in_flight, 1).unwrap();
    assert!(write(&in_flight, 1, 1));
    drop(first);
    let second = in_flight.follow(ENDPOINT, true, QUICK * 2).unwrap();
    assert!(in_flight.room(ENDPOINT, 1, false).is_none());
    assert_eq!(in_flight.busy().ahead, [0], "nor does a claim ask for more than may be under way");
    drop(second);
    assert!(is_empty(&in_flight));
}

#[test]
fn what_waited_for_long_goes_back() {
    let in_flight = Arc::new(InFlight::default());
    let Some(long_ago) = Instant::now().checked_sub(FRESH * 2) else { return };
    let old = Follower { since: long_ago, ..follower(1) };
    assert!(in_flight.take(old, 1, false, true).unwrap().goes_back);
    assert!(!in_flight.take(follower(2), 1, false, true).unwrap().goes_back);
}
