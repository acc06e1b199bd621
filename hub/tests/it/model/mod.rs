//! The life of deliveries against a model: whatever happens to them in whatever order, on the real SQL.
//!
//! Two hubs claim, attempt and finish by hand what a real one does by itself; between it they die, lose their leases,
//! finish too late, and people retry, replay, disable and enable. After every step each row is what the model says.

mod steps;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use sqlx::PgPool;

use crate::support::TestApp;
use world::World;

/// What a receiver answers to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Ok,
    Error,
    Moved,
    TooMany,
    Gone,
}

impl Answer {
    fn status(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Error => 500,
            Self::Moved => 301,
            Self::TooMany => 429,
            Self::Gone => 410,
        }
    }
}

/// What may happen. Numbers choose among what there is at the time.
#[derive(Debug, Clone)]
enum Step {
    /// An event for both endpoints.
    Event,
    /// A hub claims.
    Claim {
        hub: usize,
        most: i64,
    },
    /// A claimed delivery is attempted.
    Attempt {
        which: usize,
        answer: Answer,
    },
    /// What became of it is written, in time or not.
    Finish {
        which: usize,
    },
    /// A hub is gone, with all that it had in its hands.
    Die {
        hub: usize,
    },
    /// Leases end while their hubs live.
    Expire,
    /// Somebody retries a delivery by hand.
    Retry {
        which: usize,
    },
    /// Somebody replays an endpoint's deliveries.
    Replay {
        ordered: bool,
        all: bool,
    },
    /// An endpoint is disabled, enabled.
    Disable {
        ordered: bool,
    },
    Enable {
        ordered: bool,
    },
    /// Time passes.
    Wait {
        seconds: i64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let answer = prop_oneof![
        4 => Just(Answer::Ok),
        3 => Just(Answer::Error),
        1 => Just(Answer::Moved),
        1 => Just(Answer::TooMany),
        1 => Just(Answer::Gone),
    ];
    let which = 0..1_000_usize;
    let step = prop_oneof![
        3 => Just(Step::Event),
        6 => (0..2_usize, 1..4_i64).prop_map(|(hub, most)| Step::Claim { hub, most }),
        8 => (which.clone(), answer).prop_map(|(which, answer)| Step::Attempt { which, answer }),
        7 => which.clone().prop_map(|which| Step::Finish { which }),
        1 => (0..2_usize).prop_map(|hub| Step::Die { hub }),
        3 => Just(Step::Expire),
        2 => which.prop_map(|which| Step::Retry { which }),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(ordered, all)| Step::Replay { ordered, all }),
        1 => any::<bool>().prop_map(|ordered| Step::Disable { ordered }),
        2 => any::<bool>().prop_map(|ordered| Step::Enable { ordered }),
        3 => (1..40_i64).prop_map(|seconds| Step::Wait { seconds }),
    ];
    prop::collection::vec(step, 10..60)
}

#[sqlx::test(migrations = "../migrations")]
async fn deliveries_live_as_the_model_says_whatever_happens(pool: PgPool) {
    let mut world = World::new(TestApp::idle(pool).await).await;
    let handle = tokio::runtime::Handle::current();
    // A fixed seed: a failure is the change's, not the day's.
    let config = Config { cases: 14, max_shrink_iters: 60, failure_persistence: None, ..Config::default() };
    let world = tokio::task::spawn_blocking(move || {
        let seed = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
        let mut runner = TestRunner::new_with_rng(config, seed);
        let shared = std::cell::RefCell::new(&mut world);
        let result = runner.run(&steps(), |steps| {
            handle.block_on(shared.borrow_mut().live(&steps)).map_err(TestCaseError::fail)
        });
        if let Err(error) = result {
            panic!("{error}");
        }
        world
    })
    .await
    .unwrap();
    // It was no idle life.
    let seen = &world.seen;
    println!("{seen:?}");
    for what in [
        "finished",
        "finished too late",
        "retried",
        "refused a retry",
        "replayed",
        "died",
        "expired",
        "disabled",
    ] {
        assert!(seen.get(what).is_some_and(|count| *count > 0), "never: {what} ({seen:?})");
    }
}
