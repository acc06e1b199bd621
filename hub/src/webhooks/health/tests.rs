//! The state machine against a plainer model, and one rule at a time.

use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap()
}

fn after(outcomes: &[Outcome]) -> Health {
    outcomes.iter().fold(Health::default(), |health, outcome| health.after(*outcome, false, at(0)))
}

#[test]
fn the_circuit_opens_after_so_many_failures_in_a_row_and_not_before() {
    let many = usize::try_from(FAILURES_TO_OPEN).unwrap();
    assert_eq!(after(&vec![Outcome::Down; many - 1]).circuit(at(0)), Circuit::Closed);
    assert_eq!(after(&vec![Outcome::Down; many]).circuit(at(0)), Circuit::Open);
    let mut broken = vec![Outcome::Down; many - 1];
    broken.extend([Outcome::Taken, Outcome::Down]);
    assert_eq!(after(&broken).failures, 1);
}

#[test]
fn an_answer_that_refuses_opens_nothing_and_is_still_no_success() {
    let health = after(&[Outcome::Refused; 100]);
    assert_eq!(
        (health.circuit(at(0)), health.failures, health.failing_since),
        (Circuit::Closed, 0, Some(at(0)))
    );
}

#[test]
fn what_the_hub_itself_could_not_do_says_nothing() {
    assert_eq!(after(&[Outcome::Unknown; 100]), Health::default());
}

#[test]
fn each_failed_probe_doubles_the_open_time_up_to_its_longest() {
    let mut health = after(&[Outcome::Down; 10]);
    let mut now = at(0);
    let mut seconds = Vec::new();
    for _ in 0..10 {
        let until = health.open_until.unwrap();
        seconds.push((until - now).num_seconds());
        now = until;
        assert_eq!(health.circuit(now), Circuit::HalfOpen);
        health = health.after(Outcome::Down, true, now);
    }
    assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
    assert_eq!(health.after(Outcome::Taken, true, now), Health::default());
}

#[test]
fn what_was_under_way_when_the_circuit_opened_does_not_prolong_it() {
    let open = after(&[Outcome::Down; 10]);
    assert_eq!(open.after(Outcome::Down, false, at(3)), open);
    assert_eq!(open.after(Outcome::Taken, false, at(3)), Health::default());
}

#[test]
fn the_operator_is_told_at_each_part_of_the_way_once() {
    let mut health = after(&[Outcome::Down]);
    let day = 86_400;
    let mut told = Vec::new();
    for hour in 0..80 {
        let now = at(hour * 3_600);
        health = health.after(Outcome::Down, true, now);
        if let Some(alert) = health.alert(now) {
            told.push((alert, hour));
            health.alerted_percent = alert;
        }
    }
    assert_eq!(told, [(50, 36), (70, 51), (90, 65), (100, 72)]);
    // One success, and the way begins anew.
    assert_eq!(health.after(Outcome::Taken, false, at(4 * day)).percent(at(9 * day)), 0);
    // Several parts at once are told as the furthest.
    assert_eq!(after(&[Outcome::Down]).alert(at(2 * day + day / 2)), Some(70));
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Down),
        1 => Just(Outcome::Refused),
        1 => Just(Outcome::Taken),
        1 => Just(Outcome::Unknown)
    ]
}

/// The same rules as a person would tell them: the whole history, looked at from its end.
fn model(history: &[(Outcome, i64)]) -> (Circuit, Option<i64>) {
    let last_success = history.iter().rposition(|(outcome, _)| *outcome == Outcome::Taken);
    let since = &history[last_success.map_or(0, |index| index + 1)..];
    let failing = since.iter().find(|(outcome, _)| matches!(outcome, Outcome::Down | Outcome::Refused));
    let (mut run, mut opened, mut openings) = (0, None, 0u32);
    for (outcome, second) in since {
        match (outcome, opened) {
            (Outcome::Unknown | Outcome::Taken, _) => {}
            (Outcome::Down | Outcome::Refused, Some(until)) if *second < until => {}
            // Half open: whatever is sent then is the probe.
            (Outcome::Down | Outcome::Refused, Some(_)) => {
                openings += 1;
                opened = Some(second + (5 << (openings - 1).min(20)).min(600));
            }
            (Outcome::Refused, None) => run = 0,
            (Outcome::Down, None) => {
                run += 1;
                if run == FAILURES_TO_OPEN {
                    openings = 1;
                    opened = Some(second + 5);
                }
            }
        }
    }
    let now = history.last().map_or(0, |(_, second)| *second);
    let circuit = match opened {
        None => Circuit::Closed,
        Some(until) if now < until => Circuit::Open,
        Some(_) => Circuit::HalfOpen,
    };
    (circuit, failing.map(|(_, second)| *second))
}

proptest! {
    #[test]
    fn the_machine_agrees_with_the_model(steps in prop::collection::vec((outcome(), 0i64..900), 0..120)) {
        let mut health = Health::default();
        let (mut history, mut second) = (Vec::new(), 0);
        for (outcome, pause) in steps {
            second += pause / 3;
            let is_probe = health.circuit(at(second)) == Circuit::HalfOpen;
            health = health.after(outcome, is_probe, at(second));
            history.push((outcome, second));
            let (circuit, failing) = model(&history);
            prop_assert_eq!(health.circuit(at(second)), circuit);
            prop_assert_eq!(health.failing_since, failing.map(at));
        }
    }

    #[test]
    fn a_success_always_heals_and_nothing_else_does(
        steps in prop::collection::vec((outcome(), any::<bool>(), 0i64..900), 1..60)
    ) {
        let mut health = Health::default();
        let mut second = 0;
        for (outcome, is_probe, pause) in steps {
            second += pause;
            let next = health.after(outcome, is_probe, at(second));
            match outcome {
                Outcome::Taken => prop_assert_eq!(next, Health::default()),
                Outcome::Unknown => prop_assert_eq!(next, health),
                _ => {
                    prop_assert!(next.failing_since.is_some());
                    // An open circuit is never closed, nor its time made shorter, by a failure.
                    prop_assert!(next.open_until >= health.open_until);
                    prop_assert!(next.open_until.is_none_or(|until| until <= at(second) + OPEN_MAX
                        || Some(until) == health.open_until));
                }
            }
            health = next;
        }
    }
}
