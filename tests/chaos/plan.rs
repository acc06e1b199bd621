//! What happens, in which order: a list that follows from a seed and from nothing else.
//!
//! Each step carries a seed of its own, so that what one step does with its chance (which may depend on who is faster) changes
//! nothing about the next one.

use e2e::Dice;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    /// Many events at once, through the agent.
    Burst,
    /// Events straight to the hub.
    Direct,
    /// Something that was acknowledged is sent once more, through either door.
    Again,
    /// Mails through the agent.
    Mails,
    /// A checkout is made and paid while the provider has a bad day.
    Payment,
    /// The shop that is told of it all becomes slow, fails, or recovers.
    Mood,
    /// The agent dies with callers speaking to it.
    KillAgent,
    /// The hub dies with the agent's batches in flight.
    KillHub,
    /// PostgreSQL dies, all of its processes at once, with the hub writing.
    KillPostgres,
    /// The agent's machine loses its power: what was not synced is gone.
    PowerCut,
    /// Nothing comes through from the agent to the hub or back.
    BlackHole,
    /// Little comes through at a time.
    Slow,
    /// The agent's connections are dead and it is not told.
    HalfOpen,
    /// The agent's connections are reset, old and new.
    Resetting,
    /// The hub's wire to its database goes wrong in one of these ways.
    DatabaseWire,
    /// The agent's disk is full.
    DiskFull,
    /// The agent's disk fails at writes, at syncs or at both.
    DiskFails,
    /// Pages of the agent's database are overwritten.
    Damage,
    /// The agent's clock jumps.
    ClockJump,
}

/// All of them, each as often as it is meant to happen.
const WEIGHTS: [(Act, u64); 19] = [
    (Act::Burst, 3),
    (Act::Direct, 2),
    (Act::Again, 3),
    (Act::Mails, 1),
    (Act::Payment, 1),
    (Act::Mood, 1),
    (Act::KillAgent, 14),
    (Act::KillHub, 4),
    (Act::KillPostgres, 2),
    (Act::PowerCut, 8),
    (Act::BlackHole, 1),
    (Act::Slow, 1),
    (Act::HalfOpen, 1),
    (Act::Resetting, 1),
    (Act::DatabaseWire, 1),
    (Act::DiskFull, 1),
    (Act::DiskFails, 1),
    (Act::Damage, 1),
    (Act::ClockJump, 1),
];

impl Act {
    /// Everything that can happen.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        WEIGHTS.into_iter().map(|(act, _)| act)
    }

    /// Whether a process is killed in it.
    pub(crate) fn is_kill(self) -> bool {
        matches!(self, Self::KillAgent | Self::KillHub | Self::KillPostgres | Self::PowerCut)
    }

    /// Whether it is a misfortune, not business.
    pub(crate) fn is_fault(self) -> bool {
        self >= Self::KillAgent
    }
}

/// One step and the seed of its own chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) act: Act,
    pub(crate) seed: u64,
}

/// The steps: first each once, in an order of chance, then by their weights, without end.
pub(crate) struct Plan {
    dice: Dice,
    first: Vec<Act>,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), first: Act::all().collect() }
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let act = if self.first.is_empty() {
            let mut place = self.dice.below(WEIGHTS.iter().map(|(_, weight)| weight).sum());
            let chosen = WEIGHTS.iter().find(|(_, weight)| {
                let here = place < *weight;
                place = place.saturating_sub(*weight);
                here
            });
            chosen?.0
        } else {
            let index = self.dice.below(self.first.len() as u64);
            self.first.remove(usize::try_from(index).ok()?)
        };
        Some(Step { act, seed: self.dice.below(u64::MAX) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Act, Plan, Step};

    #[test]
    fn a_seed_gives_the_same_steps_and_another_seed_others() {
        let steps = |seed| Plan::new(seed).take(500).collect::<Vec<Step>>();
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
    }

    #[test]
    fn everything_happens_once_before_anything_happens_twice() {
        let first: BTreeSet<Act> = Plan::new(3).take(Act::all().count()).map(|step| step.act).collect();
        assert_eq!(first, Act::all().collect());
        let kills = Plan::new(3).take(1_000).filter(|step| step.act.is_kill()).count();
        assert!((500..700).contains(&kills), "{kills} kills in a thousand steps");
    }
}
