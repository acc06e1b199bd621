//! A hub on a wire that can be cut, and what happens to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Caller, Dice, Directory, Hub, Postgres, Project, Proxy, Sink, until};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use trastienda_protocol::clock::SystemClock;
use trastienda_protocol::ids::{self, EventId, RandomIds};

/// How many calls are made at once.
const CALLERS: usize = 16;
/// Deliveries between two misfortunes, at least.
const BETWEEN: usize = 40;
/// Of so many deliveries, one is answered with 500 the first time.
const FAILING: usize = 9;

/// A misfortune.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Misfortune {
    /// The hub is killed, and started again.
    KillHub,
    /// The database is killed, and started again.
    KillDatabase,
    /// The database ends its connections.
    Terminate,
    /// The wire to the database is cut, and whole again at once.
    Cut,
    /// The wire to the database is cut, and stays so for a while.
    Away,
    /// The hub stops for a while, with its connections open.
    Freeze,
}

const ALL: [Misfortune; 6] = [
    Misfortune::KillHub,
    Misfortune::KillDatabase,
    Misfortune::Terminate,
    Misfortune::Cut,
    Misfortune::Away,
    Misfortune::Freeze,
];

/// What was found.
pub(crate) struct Account {
    pub(crate) happened: BTreeMap<Misfortune, usize>,
    pub(crate) ids: usize,
    pub(crate) in_flight: usize,
    pub(crate) twice: usize,
}

/// Everything, running.
pub(crate) struct World {
    hub: Hub,
    project: Project,
    sink: Sink,
    proxy: Proxy,
    dice: Dice,
    happened: BTreeMap<Misfortune, usize>,
    /// What was in flight when the hub was killed.
    in_flight: BTreeSet<String>,
    postgres: Postgres,
    directory: Directory,
}

impl World {
    pub(crate) async fn start(seed: u64) -> anyhow::Result<Self> {
        let directory = Directory::new()?;
        let postgres = Postgres::start(&directory).await?;
        let proxy = Proxy::start(postgres.port).await?;
        let hub = Hub::start_sharing(&directory, "hub", postgres.url(Some(proxy.port))).await?;
        let project = hub.create_project("Remojo", "remojo.example.com").await?;
        hub.lift_limits(&project).await?;
        let sink = Sink::start(Duration::from_millis(20)).await?;
        sink.fail_one_in(FAILING);
        let endpoint =
            json!({"url": sink.url, "events": ["*"], "max_in_flight": 20, "retry_schedule": vec![1; 30]});
        hub.post(&project, "/v1/webhook-endpoints", endpoint).await?;
        let (happened, in_flight) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self {
            hub,
            project,
            sink,
            proxy,
            dice: Dice::new(seed),
            happened,
            in_flight,
            postgres,
            directory,
        })
    }

    /// Delivers so many events while things happen, and accounts for every one.
    pub(crate) async fn deliver(&mut self, deliveries: usize) -> anyhow::Result<Account> {
        let events = (0..deliveries).map(|_| ids::new::<EventId>(&RandomIds, &SystemClock).to_string());
        let events: BTreeSet<String> = events.collect();
        let mut calls = post_all(&Caller::new(&self.hub, &self.project), &events);
        // Each kind happens, in an order of chance, and then whichever.
        let mut kinds = ALL.to_vec();
        let between = BETWEEN.max(deliveries / 60);
        let mut next = between;
        while next < deliveries {
            until("deliveries go on", async || Ok((self.sink.taken() >= next).then_some(()))).await?;
            let index = usize::try_from(self.dice.below(kinds.len() as u64))?;
            let kind = if kinds.is_empty() {
                *self.dice.pick(&ALL).context("nothing")?
            } else {
                kinds.remove(index)
            };
            self.happen(kind).await?;
            *self.happened.entry(kind).or_default() += 1;
            next = self.sink.taken() + between + usize::try_from(self.dice.below(between as u64))?;
        }
        while let Some(call) = calls.join_next().await {
            call??;
        }
        until("everything is delivered", async || Ok((self.sink.taken() == deliveries).then_some(())))
            .await?;
        self.account(&events).await
    }

    /// Notes what is in flight. What the database does for a killed hub after this is seen by the next look.
    async fn look(&mut self) -> anyhow::Result<()> {
        let leased = "select 'evt_' || replace(event_id::text, '-', '') from webhook_deliveries where lease_token is not null";
        self.in_flight.extend(self.postgres.texts(leased).await?);
        Ok(())
    }

    /// The hub has no connection to the database any more, and what it had told it is done or undone.
    async fn until_disconnected(&self) -> anyhow::Result<()> {
        let connected = "select count(*) from pg_stat_activity where application_name like 'trastienda-hub%'";
        until("the connections are gone", async || {
            Ok((self.postgres.count(connected).await? == 0).then_some(()))
        })
        .await
    }

    async fn happen(&mut self, misfortune: Misfortune) -> anyhow::Result<()> {
        let while_ = Duration::from_millis(200 + self.dice.below(1_500));
        self.hub.freeze();
        match misfortune {
            Misfortune::KillHub => {
                self.look().await?;
                self.hub.kill().await?;
                // Only now is it known what the hub may have believed to be its own.
                self.until_disconnected().await?;
                self.look().await?;
                return self.hub.restart(&self.directory).await;
            }
            Misfortune::KillDatabase => {
                self.hub.thaw();
                self.postgres.kill().await?;
                return self.postgres.restart(&self.directory).await;
            }
            Misfortune::Terminate => {
                let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                             where application_name like 'trastienda-hub%'";
                ensure!(self.postgres.count(ended).await? > 0, "there was no connection to end");
            }
            Misfortune::Cut => self.proxy.cut(),
            Misfortune::Away => self.proxy.shut(),
            Misfortune::Freeze => {
                tokio::time::sleep(while_).await;
                self.hub.thaw();
                return Ok(());
            }
        }
        self.until_disconnected().await?;
        self.hub.thaw();
        if misfortune == Misfortune::Away {
            // Long enough for completions that cannot be written to wait for their turn.
            tokio::time::sleep(while_).await;
            self.proxy.mend();
        }
        Ok(())
    }

    async fn account(&self, events: &BTreeSet<String>) -> anyhow::Result<Account> {
        let unfinished =
            "select count(*) from webhook_deliveries where status <> 'sent' or lease_token is not null";
        until("everything is written", async || {
            Ok((self.postgres.count(unfinished).await? == 0).then_some(()))
        })
        .await?;
        let stored = self.postgres.texts("select 'evt_' || replace(id::text, '-', '') from events").await?;
        ensure!(
            stored.len() == events.len(),
            "{} events, and {} were acknowledged",
            stored.len(),
            events.len()
        );
        let stored: BTreeSet<String> = stored.into_iter().collect();
        ensure!(&stored == events, "other events than were acknowledged");
        let deliveries = self.postgres.count("select count(*) from webhook_deliveries").await?;
        ensure!(usize::try_from(deliveries)? == events.len(), "{deliveries} deliveries");
        let arrivals = self.sink.arrivals();
        ensure!(arrivals.keys().eq(events.iter()), "what arrived is not what was acknowledged");
        let counted =
            "select count(*) from webhook_deliveries d where attempts <> (select count(*) from webhook_logs l
                       where l.project_id = d.project_id and l.delivery_id = d.id)";
        ensure!(
            self.postgres.count(counted).await? == 0,
            "a delivery counts other attempts than its log has"
        );
        let twice: BTreeSet<_> =
            arrivals.into_iter().filter(|(_, arrival)| arrival.taken > 1).map(|(id, _)| id).collect();
        let surprising: Vec<_> = twice.difference(&self.in_flight).collect();
        ensure!(surprising.is_empty(), "taken twice, and in flight when no hub was killed: {surprising:?}");
        let happened = self.happened.clone();
        Ok(Account { happened, ids: events.len(), in_flight: self.in_flight.len(), twice: twice.len() })
    }

    /// The end of every log.
    pub(crate) fn log_tails(&self) -> anyhow::Result<String> {
        self.directory.log_tails()
    }

    /// Ends it.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.hub.stop().await
    }
}

/// Posts every event until it is acknowledged, several at once.
fn post_all(caller: &Caller, events: &BTreeSet<String>) -> JoinSet<anyhow::Result<()>> {
    let places = Arc::new(Semaphore::new(CALLERS));
    let mut calls = JoinSet::new();
    for id in events {
        let (caller, places) = (caller.clone(), places.clone());
        let body = json!({"id": id, "type": "stock.counted", "data": {}});
        calls.spawn(async move {
            let _place = places.acquire().await?;
            caller.insist("/v1/events", &body).await
        });
    }
    calls
}
