//! Redis, where the operator has one: shared buckets and wake-ups.
//!
//! One connection asks, another listens; both are looked at each second. While either is away, so is Redis as far as this
//! hub is concerned. What is kept there is worth nothing a minute later.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use ::redis::{AsyncConnectionConfig, Client, Cmd, Script};
use anyhow::Context as _;
use futures_util::StreamExt as _;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::gcra::{Rate, Taken};
use super::meters::Key;
use super::store::micros;
use crate::queue::listen::SHARED_CHANNELS;

/// How long connecting may take, all together.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an answer may: longer, and Redis is taken for lost.
const ANSWER: Duration = Duration::from_millis(500);
/// How often both connections are looked at.
const LOOK: Duration = Duration::from_secs(1);
const RECONNECT: Duration = Duration::from_millis(500);

/// [`Rate::take`], for a key that holds when its bucket is full, in microseconds by the server's own clock.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local asked, interval, window, carried = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local full = tonumber(redis.call('GET', KEYS[1]) or now)
local ahead = math.min(math.max(full - now, 0) + carried, window)
local cells = math.min(asked, math.floor((window - ahead) * 1000 / interval))
ahead = ahead + cells * interval / 1000
redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', math.floor(ahead / 1000) + 1000)
return {cells, math.floor(ahead)}
";

/// Redis, there or not.
#[derive(Debug)]
pub struct Redis {
    client: Client,
    /// What the keys and channels of this database begin with: several may share a Redis.
    prefix: String,
    take: Script,
    /// The connection that asks, while both are there.
    asking: Mutex<Option<MultiplexedConnection>>,
    lost: Notify,
}

impl Redis {
    /// Not connected yet. `tag` is the database's own.
    ///
    /// # Errors
    /// The address is none of a Redis.
    pub fn new(url: &str, tag: &str) -> ::redis::RedisResult<Self> {
        let prefix = format!("trastienda:{tag}");
        Ok(Self {
            client: Client::open(url)?,
            prefix,
            take: Script::new(TAKE),
            asking: Mutex::default(),
            lost: Notify::new(),
        })
    }

    /// Whether it answers, for who asks once.
    ///
    /// # Errors
    /// It does not.
    pub async fn check(&self) -> anyhow::Result<()> {
        self.connect().await.map(drop)
    }

    /// Whether it can be asked.
    pub(super) fn is_up(&self) -> bool {
        self.lock().is_some()
    }

    /// An answer did not come: nothing more is asked until both connections are new.
    pub(super) fn lose(&self) {
        *self.lock() = None;
        self.lost.notify_one();
    }

    pub(super) async fn take_cells(
        &self,
        key: Key,
        rate: Rate,
        asked: u32,
        carried: Duration,
    ) -> anyhow::Result<Taken> {
        let mut connection = self.lock().clone().context("Redis is not there")?;
        let name = format!(
            "{}:{}:{}:{}",
            self.prefix,
            key.scope.as_str(),
            key.project.as_simple(),
            key.id.as_simple()
        );
        let mut call = self.take.key(name);
        call.arg(asked);
        call.arg(u64::try_from(rate.interval.as_nanos()).unwrap_or(u64::MAX));
        call.arg(micros(rate.window)).arg(micros(carried));
        let (granted, ahead): (u32, u64) = call.invoke_async(&mut connection).await?;
        // Whoever else writes there cannot raise a limit beyond what was asked for.
        Ok(Taken { granted: granted.min(asked), ahead: Duration::from_micros(ahead).min(rate.window) })
    }

    /// Publishes, and says how many heard it; `None`: it could not.
    pub(super) async fn publish(&self, channel: &str, payload: &str) -> Option<u32> {
        let mut connection = self.lock().clone()?;
        let publish = Cmd::publish(format!("{}:{channel}", self.prefix), payload);
        match publish.query_async(&mut connection).await {
            Ok(heard) => Some(heard),
            Err(error) => {
                tracing::debug!(%error, "Redis did not take a wake-up");
                self.lose();
                None
            }
        }
    }

    /// Keeps both connections, and hands on what is heard, by its channel.
    pub(super) async fn keep(&self, heard: impl Fn(&str, &str)) {
        let gauge = metrics::gauge!("trastienda_redis_up");
        let mut is_told = false;
        loop {
            gauge.set(0.0);
            match self.connect().await {
                Ok((asking, sink, mut messages)) => {
                    *self.lock() = Some(asking.clone());
                    gauge.set(1.0);
                    tracing::info!("Redis is there: limits and wake-ups are shared by it");
                    let error = self.session(asking, sink, &mut messages, &heard).await;
                    *self.lock() = None;
                    gauge.set(0.0);
                    tracing::error!(
                        error = format!("{error:#}"),
                        "Redis is lost: each hub keeps its equal share of the limits, and wakes the others by NOTIFY"
                    );
                    is_told = true;
                }
                Err(error) if !is_told => {
                    is_told = true;
                    tracing::error!(
                        error = format!("{error:#}"),
                        "Redis is not there: each hub keeps its equal share of the limits, and wakes the others by NOTIFY"
                    );
                }
                Err(error) => tracing::debug!(error = format!("{error:#}"), "Redis is still not there"),
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    async fn connect(&self) -> anyhow::Result<(MultiplexedConnection, PubSubSink, PubSubStream)> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let connecting = async {
            let asking = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let (mut sink, messages) = self.client.get_async_pubsub().await?.split();
            for channel in SHARED_CHANNELS {
                sink.subscribe(format!("{}:{channel}", self.prefix)).await?;
            }
            Ok((asking, sink, messages))
        };
        timeout(CONNECT, connecting).await.context("it does not answer")?
    }

    /// Ends with what is wrong.
    async fn session(
        &self,
        mut asking: MultiplexedConnection,
        mut sink: PubSubSink,
        messages: &mut PubSubStream,
        heard: &impl Fn(&str, &str),
    ) -> anyhow::Error {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return anyhow::anyhow!("the subscription ended") };
                    let name = message.get_channel_name();
                    let channel = name.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix(':'));
                    if let (Some(channel), Ok(payload)) = (channel, message.get_payload::<String>()) {
                        heard(channel, &payload);
                    }
                }
                () = self.lost.notified() => return anyhow::anyhow!("a call was not answered"),
                _ = looks.tick() => {
                    let looked = async {
                        Cmd::ping().query_async::<()>(&mut asking).await?;
                        sink.ping::<::redis::Value>().await
                    };
                    match timeout(ANSWER, looked).await {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => return error.into(),
                        Err(_) => return anyhow::anyhow!("it does not answer"),
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
