//! Everything that runs, and what has happened to it so far.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use e2e::{Agent, Caller, Catcher, Dice, Directory, Door, Hub, Layer, Postgres, Project, Proxy, Simulator};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use trastienda_protocol::clock::SystemClock;
use trastienda_protocol::ids::{self, EventId, RandomIds};

use crate::disk::Disk;
use crate::ledger::{EVENT_TYPE, Found, Ledger, Sent, Witnesses};
use crate::plan::{Act, Step};
use crate::receiver::{Mood, Receiver};

/// How many calls may wait at the agent before the misfortunes pause.
const BACKLOG: u64 = 400;
/// How long a call to the agent may take before it counts as not answered.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known of one kind of happening.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// How often it happened.
    pub(crate) times: u64,
    /// How often it should have and could not be made to.
    pub(crate) not_run: u64,
    /// The longest that a caller waited for the agent's 202 meanwhile.
    pub(crate) slowest: Duration,
}

/// What happened, in numbers.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) tallies: BTreeMap<Act, Tally>,
    /// Bytes written by the agent that power cuts took, never having been synced.
    pub(crate) unsynced: u64,
    /// Pages that were overwritten, and calls that could be read all the same.
    pub(crate) pages: usize,
    pub(crate) salvaged: usize,
    /// The longest start on a damaged database.
    pub(crate) slowest_start: Duration,
}

impl Account {
    /// How many processes were killed; PostgreSQL's count as one.
    pub(crate) fn kills(&self) -> u64 {
        self.tallies.iter().filter(|(act, _)| act.is_kill()).map(|(_, tally)| tally.times).sum()
    }
}

/// Everything, running. What is declared last is dropped last: the directory, after the disk in it.
pub(crate) struct World {
    pub(crate) agent: Agent,
    pub(crate) hub: Hub,
    pub(crate) project: Project,
    pub(crate) hub_wire: Proxy,
    pub(crate) database_wire: Proxy,
    pub(crate) receiver: Receiver,
    pub(crate) simulator: Simulator,
    catcher: Catcher,
    pub(crate) postgres: Postgres,
    pub(crate) layer: Layer,
    pub(crate) disk: Disk,
    pub(crate) directory: Directory,
    /// Chance, of the present step.
    pub(crate) dice: Dice,
    pub(crate) ledger: Ledger,
    pub(crate) account: Account,
    pub(crate) number: u64,
    act: Act,
}

/// Calls that are being made: the event's id, and the answer's status after how long.
pub(crate) type Calls = JoinSet<(String, anyhow::Result<(u16, Duration)>)>;

impl World {
    /// Starts it.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let directory = Directory::new()?;
        let disk = Disk::new(&directory).await?;
        let postgres = Postgres::start(&directory).await?;
        let database_wire = Proxy::start(postgres.port).await?;
        let catcher = Catcher::start(&directory).await?;
        let simulator = Simulator::start(&directory).await?;
        let database = postgres.url(Some(database_wire.port));
        let hub = Hub::start_apart(&directory, database, &catcher, &simulator).await?;
        let hub_port = hub.url.rsplit(':').next().context("the hub has no port")?.parse()?;
        let hub_wire = Proxy::start(hub_port).await?;
        let project = hub.create_project("Remojo", "remojo.example.com").await?;
        hub.lift_limits(&project).await?;
        hub.set_credentials(&project, &simulator).await?;
        let receiver = Receiver::start().await?;
        let endpoint = json!({"url": receiver.url, "events": ["*"], "retry_schedule": vec![1; 30]});
        let made = hub.post(&project, "/v1/webhook-endpoints", endpoint).await?;
        receiver.trust(made["secret"].as_str().context("no secret in the answer")?)?;
        let layer = Layer::new(&directory.path("layer"), &disk.data_dir()).await?;
        let mut settings = layer.environment();
        settings.push(("TRASTIENDA_AGENT_DATA_DIR", disk.data_dir().display().to_string()));
        settings.push(("TRASTIENDA_LOG", "info".to_owned()));
        let url = format!("http://127.0.0.1:{}", hub_wire.port);
        let agent = Agent::start_with(&directory, "chaos", &url, &project, settings).await?;
        Ok(Self {
            agent,
            hub,
            project,
            hub_wire,
            database_wire,
            receiver,
            simulator,
            catcher,
            postgres,
            layer,
            disk,
            directory,
            dice: Dice::new(0),
            ledger: Ledger::default(),
            account: Account::default(),
            number: 0,
            act: Act::Burst,
        })
    }

    /// Lets something happen.
    pub(crate) async fn step(&mut self, step: Step) -> anyhow::Result<()> {
        // Misfortune is to hit calls in flight, not to measure how long a backlog takes.
        let status = self.agent.status().await?;
        if status["buffered"].as_u64().is_some_and(|buffered| buffered > BACKLOG) {
            self.agent.until_drained().await?;
        }
        (self.dice, self.act) = (Dice::new(step.seed), step.act);
        let ran = self.happen(step.act).await?;
        let tally = self.account.tallies.entry(step.act).or_default();
        if ran {
            tally.times += 1;
        } else {
            tally.not_run += 1;
        }
        Ok(())
    }

    /// Ends the misfortunes, waits, and checks every promise.
    pub(crate) async fn settle(&self) -> anyhow::Result<Found> {
        self.receiver.set_mood(Mood::Well);
        self.layer.set_clock(0)?;
        let witnesses = Witnesses {
            hub: &self.hub,
            project: &self.project,
            agent: &self.agent,
            catcher: &self.catcher,
            receiver: &self.receiver,
        };
        self.ledger.settle(&witnesses).await
    }

    /// The end of every log.
    pub(crate) fn log_tails(&self) -> anyhow::Result<String> {
        self.directory.log_tails()
    }

    /// Ends it.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.agent.stop().await?;
        self.hub.stop().await
    }

    /// A new event, on the books before it is sent.
    pub(crate) fn event(&mut self) -> Value {
        self.number += 1;
        let id = ids::new::<EventId>(&RandomIds, &SystemClock).to_string();
        let note = "ñandú ✓ \u{1f9c9} ".repeat(usize::try_from(self.dice.below(12)).unwrap_or(0));
        let data = json!({"number": self.number, "note": note});
        let body = json!({"id": id, "type": EVENT_TYPE, "data": data});
        self.ledger.events.insert(id, Sent { body: body.clone(), acknowledged: false, destroyed: false });
        body
    }

    pub(crate) fn acknowledge(&mut self, id: &str, after: Duration) {
        if let Some(sent) = self.ledger.events.get_mut(id) {
            sent.acknowledged = true;
        }
        let tally = self.account.tallies.entry(self.act).or_default();
        tally.slowest = tally.slowest.max(after);
    }

    /// Starts sending events at once; [`Self::collect`] waits for the answers.
    pub(crate) fn send(&mut self, most: u64) -> Calls {
        let mut calls = JoinSet::new();
        for _ in 0..=self.dice.below(most) {
            let body = self.event();
            calls.spawn(post(self.agent.door(), body));
        }
        calls
    }

    /// Takes the answers. A call without one is only allowed where the agent was killed.
    pub(crate) async fn collect(&mut self, mut calls: Calls, agent_was_killed: bool) -> anyhow::Result<()> {
        while let Some(call) = calls.join_next().await {
            match call? {
                (id, Ok((status, after))) => {
                    ensure!(status == 202, "the agent answered {status} to {id}");
                    self.acknowledge(&id, after);
                }
                (id, Err(error)) => ensure!(agent_was_killed, "no answer for {id}: {error:#}"),
            }
        }
        Ok(())
    }

    /// Waits until some of the calls are answered, by chance how many, at least one.
    pub(crate) async fn collect_some(&mut self, calls: &mut Calls) -> anyhow::Result<()> {
        for _ in 0..=self.dice.below(calls.len() as u64) {
            let Some(call) = calls.join_next().await else { break };
            let (id, answer) = call?;
            let (status, after) = answer?;
            ensure!(status == 202, "the agent answered {status} to {id}");
            self.acknowledge(&id, after);
        }
        Ok(())
    }

    /// Many events through the agent, all of which it must take.
    pub(crate) async fn burst(&mut self) -> anyhow::Result<()> {
        let calls = self.send(30);
        self.collect(calls, false).await
    }

    /// What repeats a call to the hub until it is answered.
    pub(crate) fn caller(&self) -> Caller {
        Caller::new(&self.hub, &self.project)
    }
}

/// Posts an event to the agent.
pub(crate) async fn post(door: Door, body: Value) -> (String, anyhow::Result<(u16, Duration)>) {
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    let started = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, door.post("/v1/events", &body)).await;
    let answer = answer.unwrap_or_else(|_| Err(anyhow::anyhow!("none within {PATIENCE:?}")));
    (id, answer.map(|(status, _)| (status, started.elapsed())))
}
