//! What happens during a soak: calls of every kind, and every kind of misfortune between them.

use anyhow::{Context as _, ensure};
use e2e::{Agent, Dice, Door, Ground, Project};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use trastienda_protocol::clock::SystemClock;
use trastienda_protocol::ids::{self, EventId, RandomIds};

use crate::ledger::{Found, Ledger, Payment, Sent, Witnesses};
use crate::receiver::{Mood, Receiver};

/// What may happen, as often as it stands here.
const ACTIONS: [Action; 14] = [
    Action::Burst,
    Action::Burst,
    Action::Burst,
    Action::Direct,
    Action::Direct,
    Action::Again,
    Action::Again,
    Action::Mails,
    Action::Mails,
    Action::Payment,
    Action::Payment,
    Action::KillHub,
    Action::KillAgent,
    Action::Mood,
];

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
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
    /// The hub dies with the agent's batches in flight, and comes back.
    KillHub,
    /// The agent dies with callers speaking to it, and comes back.
    KillAgent,
    /// The shop that is told of it all becomes slow, fails, or recovers.
    Mood,
}

/// The provider's bad days. None of them loses a notice: that takes the hub minutes to make up for.
const FAULTS: [&str; 6] = [
    r#"{"kind": "duplicate_notice", "next": 3}"#,
    r#"{"kind": "forge_notice", "next": 2}"#,
    r#"{"kind": "delay_notice", "ms": 700}"#,
    r#"{"kind": "latency", "ms": 400, "next": 2}"#,
    r#"{"kind": "server_error", "status": 502, "method": "GET"}"#,
    r#"{"kind": "too_many_requests", "retry_after": 1, "method": "GET"}"#,
];

/// How many calls may wait at the agent before the misfortunes pause.
const BACKLOG: u64 = 400;

/// Everything, running.
pub(crate) struct World {
    ground: Ground,
    project: Project,
    agent: Agent,
    receiver: Receiver,
    dice: Dice,
    ledger: Ledger,
    number: u64,
}

impl World {
    /// Starts it.
    pub(crate) async fn start(seed: u64) -> anyhow::Result<Self> {
        let ground = Ground::start().await?;
        let project = ground.hub.create_project("Remojo", "remojo.example.com").await?;
        ground.hub.lift_limits(&project).await?;
        ground.hub.set_credentials(&project, &ground.simulator).await?;
        let receiver = Receiver::start().await?;
        let secret = ground.hub.create_endpoint(&project, &receiver.url, &["*"]).await?;
        receiver.trust(&secret)?;
        let agent = Agent::start(&ground.directory, "soak", &ground.hub, &project).await?;
        let dice = Dice::new(seed);
        Ok(Self { ground, project, agent, receiver, dice, ledger: Ledger::default(), number: 0 })
    }

    /// Lets something happen.
    pub(crate) async fn step(&mut self) -> anyhow::Result<Action> {
        // Misfortune is to hit calls in flight, not to measure how long a backlog takes.
        let status = self.agent.status().await?;
        if status["buffered"].as_u64().is_some_and(|buffered| buffered > BACKLOG) {
            self.agent.until_drained().await?;
        }
        let action = *self.dice.pick(&ACTIONS).context("nothing can happen")?;
        match action {
            Action::Burst => self.burst().await?,
            Action::Direct => self.direct().await?,
            Action::Again => self.again().await?,
            Action::Mails => self.mails().await?,
            Action::Payment => self.payment().await?,
            Action::KillHub => self.kill_hub().await?,
            Action::KillAgent => self.kill_agent().await?,
            Action::Mood => {
                let moods = [Mood::Well, Mood::Slow, Mood::Failing];
                self.receiver.set_mood(*self.dice.pick(&moods).unwrap_or(&Mood::Well));
            }
        }
        Ok(action)
    }

    /// Ends the misfortunes, waits, and checks every promise.
    pub(crate) async fn settle(&self) -> anyhow::Result<Found> {
        self.receiver.set_mood(Mood::Well);
        let witnesses = Witnesses {
            hub: &self.ground.hub,
            project: &self.project,
            agent: &self.agent,
            catcher: &self.ground.catcher,
            receiver: &self.receiver,
        };
        self.ledger.settle(&witnesses).await
    }

    /// The end of every log.
    pub(crate) fn log_tails(&self) -> anyhow::Result<String> {
        self.ground.directory.log_tails()
    }

    /// Ends it.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.agent.stop().await?;
        self.ground.hub.stop().await
    }

    /// A new event, on the books before it is sent.
    fn event(&mut self) -> Value {
        self.number += 1;
        let id = ids::new::<EventId>(&RandomIds, &SystemClock).to_string();
        let data = json!({"number": self.number, "note": "ñandú ✓ \u{1f9c9}"});
        let body = json!({"id": id, "type": "soak.counted", "data": data});
        self.ledger.events.insert(id, Sent { body: body.clone(), acknowledged: false });
        body
    }

    fn acknowledge(&mut self, id: &str) {
        if let Some(sent) = self.ledger.events.get_mut(id) {
            sent.acknowledged = true;
        }
    }

    /// Starts sending events at once; [`Self::collect`] waits for the answers.
    fn send(&mut self, most: u64) -> JoinSet<(String, anyhow::Result<u16>)> {
        let mut calls = JoinSet::new();
        for _ in 0..=self.dice.below(most) {
            let body = self.event();
            calls.spawn(post(self.agent.door(), body));
        }
        calls
    }

    /// Takes the answers. A call without one is only allowed where the agent was killed.
    async fn collect(
        &mut self,
        mut calls: JoinSet<(String, anyhow::Result<u16>)>,
        agent_was_killed: bool,
    ) -> anyhow::Result<()> {
        while let Some(call) = calls.join_next().await {
            match call? {
                (id, Ok(status)) => {
                    ensure!(status == 202, "the agent answered {status} to {id}");
                    self.acknowledge(&id);
                }
                (id, Err(error)) => ensure!(agent_was_killed, "no answer for {id}: {error:#}"),
            }
        }
        Ok(())
    }

    async fn burst(&mut self) -> anyhow::Result<()> {
        let calls = self.send(30);
        self.collect(calls, false).await
    }

    async fn direct(&mut self) -> anyhow::Result<()> {
        for _ in 0..=self.dice.below(10) {
            let body = self.event();
            let answer = self.ground.hub.post(&self.project, "/v1/events", body.clone()).await?;
            ensure!(answer["id"] == body["id"], "{answer} is not the answer to {body}");
            self.acknowledge(body["id"].as_str().unwrap_or_default());
        }
        Ok(())
    }

    async fn again(&mut self) -> anyhow::Result<()> {
        let known: Vec<String> = self.ledger.acknowledged().cloned().collect();
        let Some(id) = self.dice.pick(&known) else { return Ok(()) };
        let body = self.ledger.events[id].body.clone();
        let answer = if self.dice.below(2) == 0 {
            let (status, answer) = self.agent.post("/v1/events", &body).await?;
            ensure!(status == 202, "the agent answered {status} to a repeat: {answer}");
            answer
        } else {
            self.ground.hub.post(&self.project, "/v1/events", body.clone()).await?
        };
        ensure!(answer["id"] == body["id"], "a repeat of {id} was answered with {answer}");
        Ok(())
    }

    async fn mails(&mut self) -> anyhow::Result<()> {
        for _ in 0..=self.dice.below(3) {
            self.number += 1;
            let to = format!("c{}@cliente.example.com", self.number);
            let body = json!({"channel": "email", "to": to, "subject": "Remojo", "text": "Hola"});
            let (status, answer) = self.agent.post("/v1/notifications", &body).await?;
            ensure!(status == 202, "the agent answered {status} to a mail: {answer}");
            self.ledger.mails.insert(to);
        }
        Ok(())
    }

    async fn payment(&mut self) -> anyhow::Result<()> {
        self.number += 1;
        let order = format!("R-{}", self.number);
        let body = json!({
            "order_id": order, "amount": "1500.00", "currency": "ARS", "description": "Mate", "method": "checkout",
            "payer": {"email": "ana@cliente.example.com"},
        });
        let made = self.ground.hub.create_payment(&self.project, &order, &body).await?;
        let id = made["id"].as_str().context("no id")?.to_owned();
        let preference =
            made["provider_reference"].as_str().with_context(|| format!("no preference: {made}"))?;
        if let Some(fault) = self.dice.pick(&FAULTS) {
            self.ground.simulator.control("faults", serde_json::from_str(fault)?).await?;
        }
        self.ground.simulator.pay(preference).await?;
        self.ledger.payments.push(Payment { id, order });
        Ok(())
    }

    async fn kill_hub(&mut self) -> anyhow::Result<()> {
        let calls = self.send(60);
        self.ground.hub.kill().await?;
        self.collect(calls, false).await?;
        self.burst().await?;
        self.ground.hub.restart(&self.ground.directory).await
    }

    async fn kill_agent(&mut self) -> anyhow::Result<()> {
        let mut calls = self.send(60);
        // Somebody has been answered and others have not.
        if let Some(first) = calls.join_next().await {
            let (id, status) = first?;
            ensure!(status? == 202, "the agent refused {id}");
            self.acknowledge(&id);
        }
        self.agent.kill().await?;
        self.collect(calls, true).await?;
        self.agent.restart(&self.ground.directory).await
    }
}

async fn post(door: Door, body: Value) -> (String, anyhow::Result<u16>) {
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    let answer = door.post("/v1/events", &body).await;
    (id, answer.map(|(status, _)| status))
}
