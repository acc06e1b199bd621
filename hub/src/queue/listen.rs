//! The listening connection: it hears of changed keys and of work, and it is the hub's membership.
//!
//! While it is down the hub claims nothing and trusts no remembered key. When it is back, everything that may
//! have been missed is made up for: keys are forgotten, queues are woken, void leases are taken back.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};

use super::wake;
use crate::app::App;
use crate::fleet;
use crate::projects::changes;
use crate::seal;
use crate::webhooks::pull::letters;

/// What hubs may also tell each other by other means than `NOTIFY`.
pub(crate) const SHARED_CHANNELS: [&str; 2] = [wake::CHANNEL, letters::CHANNEL];

const DOWN: &str = "the listening connection is down: claiming nothing, trusting no remembered key";
const RECONNECT: Duration = Duration::from_millis(500);

/// Listens until the program is to stop.
pub async fn run(app: App) {
    while !app.shutdown.token.is_cancelled() {
        let session = session(&app);
        tokio::select! {
            result = session => match result {
                Err(error) => tracing::error!(%error, "{DOWN}"),
                // Ended by the other side, or because this hub is to stop.
                Ok(()) if !app.shutdown.token.is_cancelled() => tracing::error!("{DOWN}"),
                Ok(()) => {}
            },
            () = app.shutdown.token.cancelled() => return,
        }
        app.member.leave();
        app.verifier.set_listening(false);
        tokio::select! {
            () = tokio::time::sleep(RECONNECT) => {}
            () = app.shutdown.token.cancelled() => {}
        }
    }
}

async fn session(app: &App) -> sqlx::Result<()> {
    // A pool of its own: the lock must go with the connection, not back into the hub's pool.
    let options = app.db.connect_options().as_ref().clone().application_name("trastienda-hub listener");
    let own = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options);
    let result = listen(app, &own).await;
    own.close().await;
    result
}

async fn listen(app: &App, own: &PgPool) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(own).await?;
    listener.eager_reconnect(false);
    listener.ignore_pool_close_event(true);
    // Listen first, then look: what changes in between is heard.
    listener.listen_all([changes::CHANNEL, wake::CHANNEL, letters::CHANNEL]).await?;
    let epoch = changes::epoch(&app.db).await?;
    let number = {
        let conn = sqlx::Acquire::acquire(&mut listener).await?;
        app.member.join(conn, epoch, &app.sealer, app.clock.now()).await?
    };
    // Seen by whoever changes the master key from here on; what was changed before is found out now.
    if let Some(own) = seal::store::find_own_secret(&app.db).await?
        && seal::key_of(&own).is_none_or(|key| !app.sealer.key_ids().contains(&key))
    {
        tracing::error!(
            "the master key was changed and this hub was not told: stopping; start it with the new TRASTIENDA_MASTER_KEY"
        );
        app.shutdown.token.cancel();
        return Ok(());
    }
    app.verifier.forget();
    app.verifier.set_listening(true);
    app.wakes.wake_all();
    // The others count this hub from now on.
    app.wakes.wake(fleet::WAKE);
    tracing::debug!(hub.number = number, "listening");
    while let Some(notification) = listener.try_recv().await? {
        match notification.channel() {
            changes::CHANNEL => {
                let epoch = notification.payload().parse().unwrap_or(i64::MAX);
                app.verifier.forget();
                changes::acknowledge(&app.db, number, epoch).await?;
            }
            channel => heard(app, channel, notification.payload()),
        }
    }
    Ok(())
}

/// Takes in what another hub said, however it was heard.
pub(crate) fn heard(app: &App, channel: &str, payload: &str) {
    if channel == letters::CHANNEL {
        letters::heard(app, payload);
    } else {
        app.wakes.heard(payload);
        app.moved();
    }
}
