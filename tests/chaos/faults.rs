//! The misfortunes.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use e2e::{DiskFault, PowerCut, Wire, until};

use crate::pages;
use crate::plan::Act;
use crate::say;
use crate::world::{World, post};

/// Where the agent's clock may jump to, in seconds: a little off, and far ahead. Far behind it would refuse the shop's ids at
/// once, by contract; far back it gets by jumping there from far ahead.
const CLOCKS: [i64; 5] = [0, -20, 30, 3_600, 8 * 86_400];

impl World {
    /// Lets something happen; false when this machine does not let it.
    pub(crate) async fn happen(&mut self, act: Act) -> anyhow::Result<bool> {
        match act {
            Act::Burst => self.burst().await?,
            Act::Direct => self.direct().await?,
            Act::Again => self.again().await?,
            Act::Mails => self.mails().await?,
            Act::Payment => self.payment().await?,
            Act::Mood => self.change_mood(),
            Act::KillAgent => self.kill_agent().await?,
            Act::KillHub => self.kill_hub().await?,
            Act::KillPostgres => self.kill_postgres().await?,
            Act::PowerCut => self.power_cut().await?,
            Act::BlackHole => self.bad_wire(Wire::BlackHole).await?,
            Act::Slow => self.bad_wire(Wire::Slow).await?,
            Act::HalfOpen => self.bad_wire(Wire::HalfOpen).await?,
            Act::Resetting => self.bad_wire(Wire::Resetting).await?,
            Act::DatabaseWire => self.bad_database_wire().await?,
            Act::DiskFull => return self.full_disk().await,
            Act::DiskFails => self.failing_disk().await?,
            Act::Damage => self.damage().await?,
            Act::ClockJump => self.clock_jump().await?,
        }
        Ok(true)
    }

    async fn kill_agent(&mut self) -> anyhow::Result<()> {
        let mut calls = self.send(40);
        self.collect_some(&mut calls).await?;
        self.agent.kill().await?;
        self.collect(calls, true).await?;
        self.agent.restart(&self.directory).await
    }

    async fn power_cut(&mut self) -> anyhow::Result<()> {
        let mut calls = self.send(40);
        self.collect_some(&mut calls).await?;
        self.agent.kill().await?;
        self.collect(calls, true).await?;
        let cut = *self.dice.pick(&[PowerCut::Clean, PowerCut::Torn]).unwrap_or(&PowerCut::Clean);
        self.account.unsynced += self.layer.cut_power(cut, &mut self.dice)?.bytes;
        self.agent.restart(&self.directory).await
    }

    async fn kill_hub(&mut self) -> anyhow::Result<()> {
        let mut calls = self.send(40);
        self.collect_some(&mut calls).await?;
        self.hub.kill().await?;
        self.collect(calls, false).await?;
        self.burst().await?;
        self.hub.restart(&self.directory).await
    }

    async fn kill_postgres(&mut self) -> anyhow::Result<()> {
        let mut calls = self.send(40);
        self.collect_some(&mut calls).await?;
        self.postgres.kill().await?;
        self.collect(calls, false).await?;
        self.burst().await?;
        self.postgres.restart(&self.directory).await?;
        self.hub.until_ready().await
    }

    /// For a while, and with calls before, during and after it.
    async fn bad_wire(&mut self, wire: Wire) -> anyhow::Result<()> {
        self.burst().await?;
        self.hub_wire.set(wire);
        self.burst().await?;
        tokio::time::sleep(Duration::from_millis(100 + self.dice.below(1_500))).await;
        self.burst().await?;
        self.hub_wire.mend();
        Ok(())
    }

    async fn bad_database_wire(&mut self) -> anyhow::Result<()> {
        let ways = [Wire::Shut, Wire::Resetting, Wire::BlackHole, Wire::Slow, Wire::HalfOpen];
        self.burst().await?;
        self.database_wire.set(*self.dice.pick(&ways).unwrap_or(&Wire::Shut));
        self.burst().await?;
        tokio::time::sleep(Duration::from_millis(100 + self.dice.below(1_500))).await;
        self.database_wire.mend();
        self.hub.until_ready().await
    }

    async fn clock_jump(&mut self) -> anyhow::Result<()> {
        self.layer.set_clock(*self.dice.pick(&CLOCKS).unwrap_or(&0))?;
        self.burst().await
    }

    /// New calls are refused, old ones kept, and with the room comes the service, by itself.
    async fn full_disk(&mut self) -> anyhow::Result<bool> {
        if let Some(why) = &self.disk.unfillable {
            say(&format!("NOT RUN: the agent's disk cannot be filled on this machine: {why}"));
            return Ok(false);
        }
        // Nothing leaves meanwhile: room that the buffer has already would do for a long time otherwise.
        self.hub_wire.shut();
        self.disk.fill()?;
        self.until_refused().await?;
        if self.dice.below(2) == 0 {
            self.agent.kill().await?;
            self.agent.restart(&self.directory).await?;
            self.until_refused().await?;
        }
        self.disk.clear()?;
        self.hub_wire.mend();
        until("there is room again, and it is used", async || match self.one_call().await? {
            202 => Ok(Some(())),
            status => bail!("the agent answers {status}"),
        })
        .await?;
        Ok(true)
    }

    /// New calls are refused; what is taken afterwards stands on nothing that a failed sync lost.
    async fn failing_disk(&mut self) -> anyhow::Result<()> {
        self.burst().await?;
        let faults = [DiskFault::Writes, DiskFault::Syncs, DiskFault::Both];
        self.layer.set_fault(*self.dice.pick(&faults).unwrap_or(&DiskFault::Both))?;
        self.until_refused().await?;
        self.layer.set_fault(DiskFault::None)?;
        until("the disk is used again", async || match self.one_call().await? {
            202 => Ok(Some(())),
            status => bail!("the agent answers {status}"),
        })
        .await?;
        self.power_cut().await
    }

    /// Calls until one is refused for want of room.
    async fn until_refused(&mut self) -> anyhow::Result<()> {
        until("the full disk is noticed", async || match self.one_call().await? {
            503 | 507 => Ok(Some(())),
            status => bail!("the agent answers {status}"),
        })
        .await
    }

    async fn one_call(&mut self) -> anyhow::Result<u16> {
        let mut body = self.event();
        body["data"]["filling"] = "x".repeat(usize::try_from(2_000 + self.dice.below(60_000))?).into();
        let (id, answer) = post(self.agent.door(), body.clone()).await;
        let (status, after) = answer?;
        if let Some(sent) = self.ledger.events.get_mut(&id) {
            sent.body = body;
        }
        if status == 202 {
            self.acknowledge(&id, after);
        }
        Ok(status)
    }

    /// Overwrites pages under the agent, and lets it recover: what the bytes still tell must arrive; only what they do not
    /// tell may be lost, and the agent has to say so.
    async fn damage(&mut self) -> anyhow::Result<()> {
        self.agent.until_drained().await?;
        self.hub_wire.shut();
        for _ in 0..=self.dice.below(4) {
            self.burst().await?;
        }
        for _ in 0..self.dice.below(4) {
            self.one_call().await?;
        }
        // Gracefully, so that everything is in the database's pages and nothing in the log beside it.
        self.agent.pause().await?;
        let data_dir = self.disk.data_dir();
        for entry in std::fs::read_dir(&data_dir)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("buffer.recovered-") {
                std::fs::remove_file(entry.path())?;
            }
        }
        let path = data_dir.join("buffer.db");
        let mut file = std::fs::read(&path)?;
        let held = pages::readable(&file);
        let hit = pages::overwrite(&mut file, &mut self.dice);
        std::fs::write(&path, &file)?;
        self.layer.sync()?;
        let left = pages::readable(&file);

        let started = Instant::now();
        self.agent.restart(&self.directory).await?;
        self.account.slowest_start = self.account.slowest_start.max(started.elapsed());
        let mut told = self.recover().await?;
        self.hub_wire.mend();
        self.agent.until_drained().await?;
        // Damage that was only found on the way.
        told += self.recover().await?;
        self.agent.until_drained().await?;

        let mut lost = 0;
        for id in &held {
            let path = format!("/v1/events/{id}");
            let arrived = self.hub.get(&self.project, &path).await.is_ok();
            ensure!(arrived || !left.contains(id), "{id} can be read and did not come back; pages {hit:?}");
            lost += u64::from(!arrived);
            if let Some(sent) = self.ledger.events.get_mut(id) {
                sent.destroyed = !arrived;
            }
        }
        ensure!(told >= lost, "{lost} calls are lost and the agent tells of {told}; pages {hit:?}");
        self.account.pages += hit.len();
        self.account.salvaged += left.len();
        Ok(())
    }

    /// Lets the agent recover what it can. How many calls it says are lost; a file that does not say how many it held may
    /// have held any number.
    async fn recover(&self) -> anyhow::Result<u64> {
        let reports: serde_json::Value =
            serde_json::from_str(&self.agent.tell(&["queue", "recover", "--json"]).await?)?;
        let mut lost = 0u64;
        for report in reports.as_array().into_iter().flatten() {
            lost = lost.saturating_add(report["unreadable"].as_u64().unwrap_or(u64::MAX));
        }
        Ok(lost)
    }
}
