//! Calling the provider for a new payment as soon as its row has committed, without a claim.
//!
//! The row is written leased to this hub, as if a claim had taken it: when the hub dies, its lease is void and whoever
//! claims the payment next looks for what this call may have made. Only a payment that nothing waits before goes this
//! way; the others are claimed in their turn.

use trastienda_protocol::ids::ProjectId;

use super::credentials::{self, Credentials};
use super::lanes::{self, Pass};
use super::model::Payment;
use super::provider::Provider;
use super::store::{ClaimedPayment, ProviderRow};
use super::work::{Job, Jobs, Ready};
use crate::app::App;
use crate::queue::Lease;
use crate::queue::hand_over::{HandOver, Place};
use crate::queue::worker::Queue as _;

/// A worker, a place on the account's lane and the credentials, for a payment that is about to be written. Dropped,
/// both places are free again.
pub(crate) struct AtOnce {
    place: Place<Jobs<false>>,
    pass: Pass,
    lease: Lease,
    credentials: Credentials,
}

/// Takes the places, if they are free.
pub(crate) fn reserve(
    app: &App,
    project: ProjectId,
    provider: &dyn Provider,
    row: Option<&ProviderRow>,
) -> Option<AtOnce> {
    // What cannot be opened is the claimed job's to complain about.
    let credentials = credentials::of(app, provider, row).ok()??;
    let lease = Lease::new(app, app.clock.now())?;
    let Some(place) = app.payments.get().and_then(HandOver::reserve) else {
        lanes::mark_behind(project, provider.name());
        return None;
    };
    let pass = lanes::enter_if_caught_up(app, project, provider.name(), Jobs::<false>::NAME)?;
    Some(AtOnce { place, pass, lease, credentials })
}

impl AtOnce {
    /// What the row is written with.
    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Makes the call, once the row has committed. `key` is the caller's `Idempotency-Key`, if it is held until the
    /// outcome is written.
    pub(crate) fn go(self, payment: Payment, key: Option<String>) {
        let Self { place, pass, lease, credentials } = self;
        let claimed = ClaimedPayment {
            project: payment.project_id,
            id: payment.id,
            provider: payment.provider.clone(),
            lease: lease.hold,
            attempts: 1,
        };
        place.run(Job { claimed, ready: Some(Box::new(Ready { payment, credentials, pass, key })) });
    }
}

/// Which accounts may still have payments waiting after a claim.
pub(crate) fn learn(rooms: &lanes::Rooms, claimed: &[Job], limit: i64) {
    let all_came = i64::try_from(claimed.len()).is_ok_and(|count| count < limit);
    lanes::learn(rooms, all_came, |project, provider| {
        claimed
            .iter()
            .filter(|job| job.claimed.project == project && job.claimed.provider == provider)
            .count()
    });
}
