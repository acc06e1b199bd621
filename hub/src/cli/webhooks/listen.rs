//! `trastienda-hub webhooks listen`: a project's events on a developer's machine, signed as an endpoint would get them.
//!
//! It reads the events that the hub has stored and writes nothing. An event is seen once it is committed, whatever its
//! time says: the last seconds are looked at again, and what was seen is remembered.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use secrecy::ExposeSecret as _;
use serde_json::json;
use trastienda_protocol::clock::{Clock as _, SystemClock};
use trastienda_protocol::event::EventPattern;
use trastienda_protocol::ids::{EventId, Id as _, ProjectId};
use trastienda_protocol::time;
use trastienda_protocol::webhook::Secret;
use url::Url;
use uuid::Uuid;

use super::super::{open, say};
use super::{parse_endpoint, parse_project};
use crate::config::StoreArgs;
use crate::db::Store;
use crate::events::tail::{self, Tailed};
use crate::outbound::{AllowList, Manner, Outbound};
use crate::webhooks::store;
use crate::webhooks::wire::{self, Said, signed_headers};

/// How often the table is looked at.
const POLL: Duration = Duration::from_millis(300);
/// How long a failed database is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// How far back is looked again: for as long a transaction may take to commit.
const OVERLAP: TimeDelta = TimeDelta::seconds(10);

#[derive(Args)]
pub(in crate::cli) struct ListenArgs {
    /// The project.
    #[arg(long)]
    project: String,
    /// Where to, as `http://localhost:8000/webhooks/trastienda`.
    #[arg(long)]
    forward: String,
    /// Event types, as `order.*`; may be given several times. Left out: all, or those of `--endpoint`.
    #[arg(long = "events")]
    events: Vec<String>,
    /// Sign with this endpoint's secret, and take its event types.
    #[arg(long, conflicts_with = "secret")]
    endpoint: Option<String>,
    /// Sign with this secret (`whsec_…`). Left out, without `--endpoint`: a new one, shown at the start.
    #[arg(long)]
    secret: Option<String>,
    /// Begin with the events stored since this time. Left out: with what comes from now on.
    #[arg(long)]
    since: Option<String>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

struct Listener {
    project: ProjectId,
    forward: Url,
    patterns: Vec<EventPattern>,
    secrets: Vec<Secret>,
    client: Outbound,
    json: bool,
}

impl ListenArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        crate::serve::install_tls();
        let store = open(&self.store).await?;
        let result = tokio::select! {
            result = self.listen(&store) => result,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
        store.close(false).await;
        result
    }

    async fn listen(&self, store: &Store) -> anyhow::Result<()> {
        let listener = self.prepare(store).await?;
        let since = self.since.as_deref().map(time::parse).transpose();
        let since = since.map_err(|message| anyhow::anyhow!("--since: {message}"))?;
        let mut place = Place::default();
        if let Some(since) = since {
            (place.floor, place.newest) = (since, since);
        } else {
            // From here on: what is there already has been seen.
            place.newest = tail::find_newest(&store.pool, listener.project).await?.unwrap_or_default();
            loop {
                let events = place.unseen(store, listener.project).await?;
                if events.is_empty() {
                    break;
                }
                for event in &events {
                    place.remember(event);
                }
            }
        }
        if !self.json {
            say(&format!("escuchando / listening: {} → {}", self.project, listener.forward));
            if let (None, None, Some(secret)) = (&self.endpoint, &self.secret, listener.secrets.first()) {
                say(&format!("TRASTIENDA_WEBHOOK_SECRET={}", secret.expose()));
            }
        }
        listener.follow(store, place).await
    }

    async fn prepare(&self, store: &Store) -> anyhow::Result<Listener> {
        let project = parse_project(&self.project)?;
        let forward =
            Url::parse(&self.forward).context("--forward: must be an address, as `http://localhost:8000`")?;
        anyhow::ensure!(matches!(forward.scheme(), "http" | "https"), "--forward: must start with `http://`");
        let mut conn = store.pool.acquire().await?;
        let (mut names, secrets) = match (&self.endpoint, &self.secret) {
            (Some(endpoint), _) => {
                let endpoint = parse_endpoint(endpoint)?;
                let row = store::find_endpoint(&mut conn, project, endpoint).await?;
                let row = row.context("--endpoint: the project has no such endpoint")?;
                let sealed = store::list_secrets(&mut conn, project, endpoint, SystemClock.now()).await?;
                let secret = |sealed: &Vec<u8>| {
                    let text = store.sealer.open_text(store::SECRET_PURPOSE, sealed)?;
                    Ok(Secret::parse(text.expose_secret())?)
                };
                (row.events, sealed.iter().map(secret).collect::<anyhow::Result<Vec<_>>>()?)
            }
            (None, Some(secret)) => (Vec::new(), vec![Secret::parse(secret).context("--secret")?]),
            (None, None) => (Vec::new(), vec![Secret::generate()?]),
        };
        let known = crate::projects::store::find_project(&mut conn, project).await?;
        known.context("--project: there is no such project")?;
        if !self.events.is_empty() {
            names.clone_from(&self.events);
        } else if names.is_empty() {
            names.push("*".to_owned());
        }
        let pattern = |name: &String| {
            EventPattern::parse(name).map_err(|message| anyhow::anyhow!("--events: `{name}` {message}"))
        };
        let patterns = names.iter().map(pattern).collect::<anyhow::Result<Vec<_>>>()?;
        // The operator names the address, here and now.
        let client = Outbound::new(AllowList::default(), Vec::new(), Manner::default())?;
        Ok(Listener { project, forward, patterns, secrets, client, json: self.json })
    }
}

/// How far the events were read.
#[derive(Default)]
struct Place {
    floor: DateTime<Utc>,
    newest: DateTime<Utc>,
    seen: HashMap<Uuid, DateTime<Utc>>,
}

impl Place {
    /// The next events that were not seen yet, none of them older than the overlap.
    async fn unseen(&self, store: &Store, project: ProjectId) -> sqlx::Result<Vec<Tailed>> {
        let mut after = ((self.newest - OVERLAP).max(self.floor), Uuid::nil());
        loop {
            let page = tail::list_since(&store.pool, project, after).await?;
            let Some(last) = page.last() else { return Ok(Vec::new()) };
            after = (last.created_at, last.id);
            let unseen: Vec<_> =
                page.into_iter().filter(|event| !self.seen.contains_key(&event.id)).collect();
            if !unseen.is_empty() {
                return Ok(unseen);
            }
        }
    }

    fn remember(&mut self, event: &Tailed) {
        self.newest = self.newest.max(event.created_at);
        self.seen.insert(event.id, event.created_at);
        let forgotten = self.newest - OVERLAP * 2;
        self.seen.retain(|_, at| *at >= forgotten);
    }
}

impl Listener {
    /// Forwards what comes, for ever.
    async fn follow(&self, store: &Store, mut place: Place) -> anyhow::Result<()> {
        loop {
            match place.unseen(store, self.project).await {
                Ok(events) if events.is_empty() => tokio::time::sleep(POLL).await,
                Ok(events) => {
                    for event in events {
                        place.remember(&event);
                        if self.wants(&event) {
                            self.forward(&event).await?;
                        }
                    }
                }
                Err(error) => {
                    complain(&format!("the database does not answer, trying again: {error:#}"));
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn wants(&self, event: &Tailed) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(&event.event_type))
    }

    async fn forward(&self, event: &Tailed) -> anyhow::Result<()> {
        let id = EventId::from_uuid(event.id);
        let said = Said {
            event_id: event.id,
            event_type: &event.event_type,
            happened_at: event.occurred_at.unwrap_or(event.created_at),
            data: event.data.as_object().context("the event's data is not an object")?,
        };
        let body = wire::body(self.project.uuid(), &said);
        let mut request = self.client.operator().post(self.forward.clone());
        for (name, value) in signed_headers(event.id, SystemClock.now().timestamp(), &body, &self.secrets) {
            request = request.header(name, value);
        }
        let started = Instant::now();
        let answer = request.body(body).send().await;
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (code, error) = match answer {
            Ok(answer) => (Some(answer.status().as_u16()), None),
            Err(error) => (None, Some(format!("{:#}", anyhow::Error::from(error.without_url())))),
        };
        let at = time::format(event.created_at);
        if self.json {
            let line = json!({"at": at, "id": id, "type": event.event_type, "response_code": code,
                "duration_ms": duration_ms, "error": error});
            say(&line.to_string());
        } else {
            let outcome = code.map_or_else(|| error.unwrap_or_default(), |code| code.to_string());
            say(&format!("{at}  {}  {id}  → {outcome}  ({duration_ms} ms)", event.event_type));
        }
        Ok(())
    }
}

#[expect(clippy::print_stderr, reason = "what goes wrong meanwhile goes to standard error")]
fn complain(text: &str) {
    eprintln!("{text}");
}
