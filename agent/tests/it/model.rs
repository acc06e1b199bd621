//! The buffer against a plain model: whatever is done in whatever order, closing and opening included,
//! the two say the same: what is taken, what answers repeats, and which rows each lane may send while
//! other lanes have theirs on the way. Besides, whatever the model says: of an order, only the oldest goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{TimeDelta, TimeZone as _, Utc};
use proptest::prelude::*;
use trastienda_agent::buffer::{
    AcceptError, Buffer, Claim, Durability, Lane, Limits, NewCall, Options, Reason, Settled, Settlement,
    Wanted, Writer,
};
use trastienda_agent::metrics::Metrics;
use trastienda_protocol::batch::Kind;
use trastienda_protocol::clock::{Clock, ManualClock};
use uuid::Uuid;

const MAX_ROWS: usize = 12;
const PARKED_AFTER: u32 = 10;
const RECEIPTS_SECONDS: i64 = 50;

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Deliver,
    Refuse,
    Defer {
        seconds: i64,
        alone: bool,
    },
    /// The answer was lost: nothing is settled.
    Nothing,
}

#[derive(Debug, Clone)]
enum Step {
    Accept {
        id: u8,
        key: Option<u8>,
        body: u8,
        order: Option<u8>,
        lives: Option<i64>,
    },
    /// A lane takes a batch, which is on its way until it is answered.
    Claim {
        lane: Lane,
        max: usize,
    },
    /// The oldest batch that is on its way is answered.
    Answer {
        verdicts: Vec<Verdict>,
    },
    Pass {
        seconds: i64,
    },
    Revive {
        id: u8,
    },
    Discard {
        id: u8,
    },
    Prune,
    Reopen,
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        4 => Just(Verdict::Deliver),
        1 => Just(Verdict::Refuse),
        4 => (0..5i64, any::<bool>()).prop_map(|(seconds, alone)| Verdict::Defer { seconds, alone }),
        1 => Just(Verdict::Nothing),
    ]
}

fn lane() -> impl Strategy<Value = Lane> {
    prop_oneof![Just(Lane::Urgent), Just(Lane::Backlog), (0..20i64).prop_map(|after| Lane::Fresh { after }),]
}

fn step() -> impl Strategy<Value = Step> {
    let accept =
        (0..24u8, prop::option::of(0..12u8), 0..3u8, prop::option::of(0..3u8), prop::option::of(-2..40i64))
            .prop_map(|(id, key, body, order, lives)| Step::Accept { id, key, body, order, lives });
    prop_oneof![
        8 => accept,
        8 => (lane(), prop_oneof![1..8usize, Just(100)]).prop_map(|(lane, max)| Step::Claim { lane, max }),
        8 => prop::collection::vec(verdict(), MAX_ROWS).prop_map(|verdicts| Step::Answer { verdicts }),
        3 => (1..30i64).prop_map(|seconds| Step::Pass { seconds }),
        1 => (0..24u8).prop_map(|id| Step::Revive { id }),
        1 => (0..24u8).prop_map(|id| Step::Discard { id }),
        1 => Just(Step::Prune),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Clone)]
struct Call {
    id: u8,
    key: Option<u8>,
    body: u8,
    order: Option<u8>,
    expires_at: Option<i64>,
    run_at: i64,
    attempts: u32,
}

#[derive(Debug, Clone)]
struct Receipt {
    id: u8,
    key: Option<u8>,
    body: u8,
    accepted_at: i64,
    forwarded_at: Option<i64>,
}

/// What the buffer is, said with maps. The numbers are places in the order of acceptance.
#[derive(Debug, Default)]
struct Model {
    next: i64,
    waiting: BTreeMap<i64, Call>,
    dead: BTreeMap<i64, (Call, Reason)>,
    receipts: BTreeMap<i64, Receipt>,
    /// On their way, by batch.
    sent: Vec<Vec<i64>>,
}

/// Every third id is a notification's.
fn kind(id: u8) -> Kind {
    if id.is_multiple_of(3) { Kind::Notification } else { Kind::Event }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    New,
    Repeat { id: u8, accepted_at: i64, expired: bool },
    Reused,
    Expired,
    Full,
}

impl Model {
    fn accept(&mut self, call: Call, now: i64) -> Outcome {
        let by_id = self.receipts.iter().find(|(_, receipt)| receipt.id == call.id);
        let by_key = self.receipts.iter().find(|(_, receipt)| call.key.is_some() && receipt.key == call.key);
        if let (Some((one, _)), Some((other, _))) = (by_id, by_key)
            && one != other
        {
            return Outcome::Reused;
        }
        if let Some((seq, receipt)) = by_id.or(by_key) {
            if receipt.body != call.body || kind(receipt.id) != kind(call.id) {
                return Outcome::Reused;
            }
            let expired = self.dead.get(seq).is_some_and(|(_, reason)| *reason == Reason::Expired);
            return Outcome::Repeat { id: receipt.id, accepted_at: receipt.accepted_at, expired };
        }
        if call.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Outcome::Expired;
        }
        if self.waiting.len() + self.dead.len() >= MAX_ROWS {
            return Outcome::Full;
        }
        self.next += 1;
        let receipt =
            Receipt { id: call.id, key: call.key, body: call.body, accepted_at: now, forwarded_at: None };
        self.receipts.insert(self.next, receipt);
        self.waiting.insert(self.next, call);
        Outcome::New
    }

    /// What a lane sends, and what of it is over by now.
    fn claim(&self, lane: Lane, now: i64, max: usize) -> (Vec<i64>, Vec<i64>) {
        let (mut due, mut over, mut settled_orders) = (Vec::new(), Vec::new(), Vec::new());
        for (seq, call) in &self.waiting {
            let urgent = kind(call.id) != Kind::Event;
            let mine = match lane {
                Lane::Urgent => urgent,
                Lane::Backlog => !urgent,
                Lane::Fresh { after } => !urgent && *seq > after,
            };
            if !mine {
                continue;
            }
            let may_go = self.may_go(*seq, now, &mut over);
            if call.order.is_some_and(|order| settled_orders.contains(&order)) {
                continue;
            }
            let next = if may_go { self.oldest_of_its_order(*seq) } else { *seq };
            let goes = if next == *seq {
                may_go
            } else {
                // Payments and mail send the event that they wait for.
                lane == Lane::Urgent && self.may_go(next, now, &mut over)
            };
            if goes {
                if due.len() == max {
                    break;
                }
                due.push(next);
            }
            settled_orders.extend(call.order);
        }
        (due, over)
    }

    /// Whether a call by itself could go; what is over is noted.
    fn may_go(&self, seq: i64, now: i64, over: &mut Vec<i64>) -> bool {
        let call = &self.waiting[&seq];
        if self.sent.iter().flatten().any(|sent| *sent == seq) {
            return false;
        }
        if call.expires_at.is_some_and(|expires_at| expires_at <= now) {
            over.push(seq);
            return false;
        }
        call.run_at <= now
    }

    fn oldest_of_its_order(&self, seq: i64) -> i64 {
        let order = self.waiting[&seq].order;
        let mut of_it = self.waiting.iter().filter(|(_, call)| order.is_some() && call.order == order);
        of_it.next().map_or(seq, |(oldest, _)| *oldest)
    }

    /// Nothing that is sent has an older call of its order anywhere.
    fn assert_in_order(&self, batch: &[i64]) {
        for seq in batch {
            assert_eq!(self.oldest_of_its_order(*seq), *seq, "{seq} overtakes in {batch:?}");
        }
    }

    fn bury(&mut self, seq: i64, reason: Reason) {
        let call = self.waiting.remove(&seq).unwrap();
        self.dead.insert(seq, (call, reason));
    }

    fn dead_of(&self, id: u8) -> Option<i64> {
        self.dead.iter().find(|(_, (call, _))| call.id == id).map(|(seq, _)| *seq)
    }
}

/// The real one, in a directory of its own.
struct Real {
    directory: tempfile::TempDir,
    clock: ManualClock,
    open: Option<(Buffer, Writer)>,
    sent: Vec<Claim>,
}

impl Real {
    fn open() -> Self {
        let clock = ManualClock::new(Utc.with_ymd_and_hms(2026, 11, 24, 10, 0, 0).unwrap());
        let mut real = Self { directory: tempfile::tempdir().unwrap(), clock, open: None, sent: Vec::new() };
        real.open_again();
        real
    }

    fn open_again(&mut self) {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let limits = Limits { max_bytes: 1 << 20, max_rows: MAX_ROWS as u64, min_free: Some(0) };
        let options = Options {
            directory: self.directory.path(),
            durability: Durability::Process,
            limits,
            clock: &clock,
        };
        self.open = Some(Buffer::open(&options, Arc::new(Metrics::default())).unwrap());
    }

    async fn reopen(&mut self) {
        self.sent.clear();
        let (buffer, writer) = self.open.take().unwrap();
        drop(buffer);
        writer.finished().await;
        self.open_again();
    }

    fn buffer(&self) -> &Buffer {
        &self.open.as_ref().unwrap().0
    }

    fn millis(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }

    async fn accept(&self, call: &Call) -> Outcome {
        let taken = NewCall {
            kind: kind(call.id),
            id: uuid(call.id),
            idempotency_key: call.key.map(|key| format!("key-{key}")),
            order_id: call.order.map(|order| format!("order-{order}")),
            accepted_at: self.millis(),
            expires_at: call.expires_at,
            fingerprint: [call.body; 32],
            body: Bytes::from(format!("{{\"body\":{}}}", call.body)),
        };
        match self.buffer().accept(taken).await {
            Ok(accepted) if accepted.replayed => Outcome::Repeat {
                id: accepted.id.as_bytes()[15],
                accepted_at: accepted.accepted_at,
                expired: accepted.expired,
            },
            Ok(_) => Outcome::New,
            Err(AcceptError::Reused) => Outcome::Reused,
            Err(AcceptError::Expired) => Outcome::Expired,
            Err(AcceptError::Full(_)) => Outcome::Full,
            Err(AcceptError::Storage(error)) => panic!("{error}"),
        }
    }
}

fn uuid(id: u8) -> Uuid {
    Uuid::from_u128(u128::from(id))
}

async fn claim(real: &mut Real, model: &mut Model, lane: Lane, max: usize) {
    let now = real.millis();
    let wanted = Wanted { lane, now, max_rows: max, max_bytes: usize::MAX, not_before: None };
    let claim = real.buffer().claim(wanted).await.unwrap();
    let claimed: Vec<i64> = claim.operations.iter().map(|operation| operation.seq).collect();
    assert_eq!((claimed.clone(), claim.expired.clone()), model.claim(lane, now, max));
    model.assert_in_order(&claimed);
    let mut settlements = Vec::new();
    for seq in &claim.expired {
        let settled = Settled::Dead { reason: Reason::Expired, answer: None, hub_version: None };
        settlements.push(Settlement { seq: *seq, settled });
        model.bury(*seq, Reason::Expired);
    }
    real.buffer().settle(settlements, real.clock.now()).await.unwrap();
    model.sent.push(claimed);
    real.sent.push(claim);
}

async fn answer(real: &mut Real, model: &mut Model, verdicts: &[Verdict]) {
    if real.sent.is_empty() {
        return;
    }
    let (claim, now) = (real.sent.remove(0), real.millis());
    model.sent.remove(0);
    let mut settlements = Vec::new();
    for (operation, verdict) in claim.operations.iter().zip(verdicts) {
        let seq = operation.seq;
        let call = model.waiting.get_mut(&seq).unwrap();
        assert_eq!(operation.id.as_bytes()[15], call.id);
        assert_eq!(operation.body, format!("{{\"body\":{}}}", call.body).as_bytes());
        let settled = match *verdict {
            Verdict::Nothing => continue,
            Verdict::Deliver => {
                model.waiting.remove(&seq);
                model.receipts.get_mut(&seq).unwrap().forwarded_at = Some(now);
                Settled::Delivered
            }
            Verdict::Refuse => {
                model.bury(seq, Reason::Refused);
                Settled::Dead { reason: Reason::Refused, answer: None, hub_version: None }
            }
            Verdict::Defer { seconds, alone } => {
                call.run_at = now + seconds * 1_000;
                call.attempts += u32::from(alone);
                if alone && call.attempts >= PARKED_AFTER {
                    model.bury(seq, Reason::Parked);
                }
                Settled::Deferred { run_at: now + seconds * 1_000, failed_alone: alone, answer: None }
            }
        };
        settlements.push(Settlement { seq, settled });
    }
    real.buffer().settle(settlements, real.clock.now()).await.unwrap();
}

async fn apply(real: &mut Real, model: &mut Model, step: Step) {
    match step {
        Step::Accept { id, key, body, order, lives } => {
            let now = real.millis();
            let expires_at = lives.map(|seconds| now + seconds * 1_000);
            let call = Call { id, key, body, order, expires_at, run_at: 0, attempts: 0 };
            assert_eq!(real.accept(&call).await, model.accept(call, now));
        }
        Step::Claim { lane, max } => claim(real, model, lane, max).await,
        Step::Answer { verdicts } => answer(real, model, &verdicts).await,
        Step::Pass { seconds } => real.clock.advance(TimeDelta::seconds(seconds)),
        Step::Revive { id } => {
            let revived = real.buffer().revive(kind(id), uuid(id)).await.unwrap();
            let found = model.dead_of(id).filter(|seq| model.dead[seq].1 != Reason::Expired);
            assert_eq!(revived, found.is_some());
            if let Some(seq) = found {
                let (call, _) = model.dead.remove(&seq).unwrap();
                model.waiting.insert(seq, Call { run_at: 0, attempts: 0, ..call });
            }
        }
        Step::Discard { id } => {
            let discarded = real.buffer().discard(kind(id), uuid(id)).await.unwrap();
            let found = model.dead_of(id);
            assert_eq!(discarded, found.is_some());
            if let Some(seq) = found {
                model.dead.remove(&seq);
                model.receipts.remove(&seq);
            }
        }
        Step::Prune => {
            let before = real.clock.now() - TimeDelta::seconds(RECEIPTS_SECONDS);
            real.buffer().prune(before).await.unwrap();
            let before = before.timestamp_millis();
            model.receipts.retain(|_, receipt| receipt.forwarded_at.is_none_or(|at| at >= before));
        }
        Step::Reopen => {
            // What was on its way is sent again.
            model.sent.clear();
            real.reopen().await;
        }
    }
}

async fn compare(real: &Real, model: &Model) {
    let totals = real.buffer().totals();
    assert_eq!((totals.rows, totals.dead_letters), (model.waiting.len() as u64, model.dead.len() as u64));
    let dead = real.buffer().list_dead_letters(100, None).await.unwrap();
    let dead: Vec<_> = dead.iter().map(|letter| (letter.id.as_bytes()[15], letter.reason)).collect();
    let expected: Vec<_> = model.dead.values().rev().map(|(call, reason)| (call.id, *reason)).collect();
    assert_eq!(dead, expected);
    if model.waiting.is_empty() && model.dead.is_empty() {
        assert_eq!(totals.bytes, 0, "what is gone weighs nothing");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_buffer_does_what_the_model_does(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut real, mut model) = (Real::open(), Model::default());
            for step in steps {
                apply(&mut real, &mut model, step).await;
                compare(&real, &model).await;
            }
            // In the end everything that is not dead can be delivered, payments and mail first.
            real.clock.advance(TimeDelta::hours(1));
            real.sent.clear();
            model.sent.clear();
            // One call of an order at a time, each lane in turn: a round that leaves something moves something.
            for _round in 0..=MAX_ROWS {
                for lane in [Lane::Urgent, Lane::Backlog] {
                    claim(&mut real, &mut model, lane, 100).await;
                    answer(&mut real, &mut model, &[Verdict::Deliver; MAX_ROWS]).await;
                }
                compare(&real, &model).await;
            }
            assert!(model.waiting.is_empty(), "{:?} are never sent", model.waiting);
        });
    }
}

#[tokio::test]
async fn a_claim_that_finds_nothing_wakes_nobody() {
    let real = Real::open();
    let mut changes = real.buffer().changes();
    let call = Call { id: 1, key: None, body: 1, order: None, expires_at: None, run_at: 0, attempts: 0 };
    let wanted =
        Wanted { lane: Lane::Backlog, now: real.millis(), max_rows: 9, max_bytes: 99, not_before: None };
    changes.mark_unchanged();
    drop(real.buffer().claim(wanted).await.unwrap());
    assert!(!changes.has_changed().unwrap(), "lanes with nothing to do keep each other awake");
    // What comes, and what another claim lets go, does.
    assert_eq!(real.accept(&call).await, Outcome::New);
    tokio::time::timeout(Duration::from_secs(20), changes.changed()).await.unwrap().unwrap();
    let claim = real.buffer().claim(wanted).await.unwrap();
    assert_eq!(claim.operations.len(), 1);
    changes.mark_unchanged();
    drop(claim);
    assert!(changes.has_changed().unwrap());
}
