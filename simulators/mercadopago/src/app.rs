//! The running simulator as its handlers see it: settings, time, state, faults and the sender of notices.
//!
//! The state sits behind one lock that is never held across an await. A request changes it in one piece, so
//! two calls with one idempotency key can never both take effect.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::config::Config;
use crate::faults::Faults;
use crate::state::State;
use crate::webhooks::Dispatcher;

pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) public_url: String,
    pub(crate) clock: Clock,
    pub(crate) faults: Arc<Faults>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    state: Mutex<State>,
}

impl App {
    pub(crate) fn new(
        config: Config,
        public_url: String,
        faults: Arc<Faults>,
        dispatcher: Arc<Dispatcher>,
    ) -> Self {
        let state = Mutex::new(State::new(&config));
        Self { public_url, clock: config.clock.clone(), faults, dispatcher, state, config }
    }

    /// Reads or changes the state at one moment. What has expired by then is expired first, and notices of
    /// whatever changed leave once the lock is released.
    pub(crate) fn change<R>(&self, work: impl FnOnce(&mut State, DateTime<Utc>) -> R) -> R {
        let now = self.clock.now();
        let (answer, bursts) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.expire_due(now);
            let answer = work(&mut state, now);
            (answer, state.take_announced())
        };
        for burst in bursts {
            self.dispatcher.send(burst);
        }
        answer
    }

    /// Back to how it was at the start: same seed, no payments, no faults, pending notices forgotten.
    pub(crate) fn reset(&self) {
        self.dispatcher.reset();
        self.faults.reset();
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::new(&self.config);
    }
}
