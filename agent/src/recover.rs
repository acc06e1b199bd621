//! Getting back what damaged databases still hold, while the agent goes on.
//!
//! A database that was set aside is read row by row; every call that can be read and is not known
//! goes back among what is sent (or among the dead letters, where it was one). The file stays, under
//! a name that says that it has been looked at. What the hub has already is the same there by its id.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::buffer::{Buffer, Imported, Salvaged, StorageError, Wreck};

/// Calls, and bytes of bodies, that go back in one commit.
const CHUNK_ROWS: usize = 500;
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Names of lost calls in a report.
const NAMES_MAX: usize = 1_000;

/// What became of one damaged database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Where it lies now.
    pub file: PathBuf,
    /// Calls that are back.
    pub recovered: u64,
    /// Calls that were known already: sent again by the shop since.
    pub known: u64,
    /// Calls that cannot be read; absent when the file does not say how many it held.
    pub unreadable: Option<u64>,
    /// The ids of those of which there is still a trace, at most a thousand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    /// Why nothing was done, when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// Why recovering ended early. What was recovered until then stays.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The directory or a file cannot be used.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The buffer cannot be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Recovers from every database that was set aside.
///
/// # Errors
/// [`RecoverError`]
pub async fn recover(buffer: &Buffer) -> Result<Vec<Report>, RecoverError> {
    let _one_at_a_time = buffer.recovering().await;
    let mut reports = Vec::new();
    for file in buffer.damaged_files() {
        let report = recover_one(buffer, &file).await?;
        tracing::info!(
            file = %report.file.display(),
            recovered = report.recovered,
            known = report.known,
            unreadable = report.unreadable,
            lost = ?report.lost,
            skipped = report.skipped,
            "a damaged database was looked at"
        );
        reports.push(report);
    }
    Ok(reports)
}

async fn recover_one(buffer: &Buffer, file: &Path) -> Result<Report, RecoverError> {
    let skipped = |why: String| Report {
        file: file.to_owned(),
        recovered: 0,
        known: 0,
        unreadable: None,
        lost: Vec::new(),
        skipped: Some(why),
    };
    let path = file.to_owned();
    let opened = tokio::task::spawn_blocking(move || Wreck::open(&path)).await;
    let Some(wreck) = opened.map_err(std::io::Error::other)?? else {
        return Ok(skipped("nothing in it can be read".to_owned()));
    };
    match (wreck.project.clone(), buffer.project()) {
        (Some(theirs), Some(ours)) if theirs != ours => {
            return Ok(skipped(format!("it belongs to project {theirs}, the buffer to {ours}")));
        }
        (Some(theirs), None) => buffer.set_project(theirs).await?,
        _ => {}
    }
    let held = wreck.calls;
    let key = buffer.fingerprint_key();
    let (chunks, mut received) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || read(&wreck, &key, &chunks));
    let mut total = Imported::default();
    while let Some(chunk) = received.recv().await {
        let imported = buffer.import(chunk).await?;
        total.recovered += imported.recovered;
        total.known += imported.known;
    }
    let (bad_rows, lost) = reading.await.map_err(std::io::Error::other)?;
    let readable = total.recovered + total.known;
    let unreadable = held.map(|held| held.saturating_sub(readable).max(bad_rows).max(lost.len() as u64));
    let file = Buffer::mark_recovered(file)?;
    Ok(Report { file, recovered: total.recovered, known: total.known, unreadable, lost, skipped: None })
}

/// Sends what can be read in chunks, as long as somebody takes them. Gives how many rows could not be
/// read, and the names of those that are missing.
fn read(wreck: &Wreck, key: &[u8; 32], chunks: &mpsc::Sender<Vec<Salvaged>>) -> (u64, Vec<String>) {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    let mut seen = HashSet::new();
    let unreadable = wreck.read(key, |salvaged| {
        bytes += salvaged.size();
        seen.insert(salvaged.name());
        chunk.push(salvaged);
        if chunk.len() < CHUNK_ROWS && bytes < CHUNK_BYTES {
            return ControlFlow::Continue(());
        }
        bytes = 0;
        match chunks.blocking_send(std::mem::take(&mut chunk)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    // When nobody takes it any more, whoever should has an error of their own.
    let _ = chunks.blocking_send(chunk);
    (unreadable, wreck.missing(&seen, NAMES_MAX))
}
