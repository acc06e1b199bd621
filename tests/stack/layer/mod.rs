//! The power and the clock of one process, to be cut and to be moved.
//!
//! A small library in C is loaded into the process (`LD_PRELOAD`). It keeps a copy of each file as it was when it was last
//! synced, and of each directory's entries; a power cut is then a kill, after which the files are put back to what was
//! synced. It also shows the process another time of day, and lets its writes and syncs fail as a broken disk's do. What is not imitated: a disk that lies about a sync, and the
//! kernel writing things out by itself in an order of its own, except that [`PowerCut::Torn`] keeps some of what was not synced.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, ensure};

use crate::{Dice, command, root};

/// What disks write whole.
const SECTOR: usize = 512;

/// What of that which was not synced a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerCut {
    /// Nothing.
    Clean,
    /// Sectors by chance, and all entries of the directory or none.
    Torn,
}

/// What a power cut left of the files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Loss {
    /// Bytes that were written and never synced, and are gone.
    pub bytes: u64,
}

/// The layer, compiled, and what it keeps.
#[derive(Debug)]
pub struct Layer {
    library: PathBuf,
    files: PathBuf,
    synced: PathBuf,
    clock: PathBuf,
    faults: PathBuf,
}

/// What of the disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// Nothing.
    None,
    /// Writes do, with `EIO`.
    Writes,
    /// Syncs do, with `EIO`, and what they would have made certain is forgotten.
    Syncs,
    /// Both.
    Both,
}

impl Layer {
    /// Compiles it (with gcc) into a directory, for a process whose files lie below `files`.
    pub async fn new(directory: &Path, files: &Path) -> anyhow::Result<Self> {
        let place = |name| directory.join(name);
        let (library, synced, clock, faults) =
            (place("layer.so"), place("synced"), place("clock"), place("faults"));
        fs::create_dir_all(&synced)?;
        fs::write(&clock, 0i64.to_ne_bytes())?;
        fs::write(&faults, 0i64.to_ne_bytes())?;
        let mut gcc = command("gcc");
        gcc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library);
        let made = gcc.arg(root().join("tests/stack/layer/layer.c")).arg("-ldl").output().await?;
        ensure!(made.status.success(), "gcc: {}", String::from_utf8_lossy(&made.stderr));
        Ok(Self { library, files: files.to_owned(), synced, clock, faults })
    }

    /// The environment of the process that it is for.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.display().to_string();
        vec![
            ("LD_PRELOAD", text(&self.library)),
            ("CHAOS_FILES", text(&self.files)),
            ("CHAOS_SYNCED", text(&self.synced)),
            ("CHAOS_CLOCK", text(&self.clock)),
            ("CHAOS_FAULTS", text(&self.faults)),
        ]
    }

    /// From now on the process's clock is off by so many seconds.
    pub fn set_clock(&self, seconds: i64) -> anyhow::Result<()> {
        set(&self.clock, seconds)
    }

    /// From now on this of the process's disk fails.
    pub fn set_fault(&self, fault: DiskFault) -> anyhow::Result<()> {
        let bits = match fault {
            DiskFault::None => 0,
            DiskFault::Writes => 1,
            DiskFault::Syncs => 2,
            DiskFault::Both => 3,
        };
        set(&self.faults, bits)
    }

    /// Puts the files back to what a power cut leaves. The process must be gone.
    pub fn cut_power(&self, cut: PowerCut, dice: &mut Dice) -> anyhow::Result<Loss> {
        let live = files_in(&self.files)?;
        let entries = fs::read_to_string(self.synced.join(key(&self.files)?)).unwrap_or_default();
        // The name of each file, and what it was known by.
        let mut left: BTreeMap<String, String> = entries
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(key, name)| (name.to_owned(), key.to_owned()))
            .collect();
        if cut == PowerCut::Torn && dice.below(2) == 0 {
            left = live.iter().map(|(key, (name, _))| (name.clone(), key.clone())).collect();
        }
        let mut loss = Loss::default();
        let mut contents = BTreeMap::new();
        for (name, key) in left {
            let synced = fs::read(self.synced.join(&key)).unwrap_or_default();
            let written = live.get(&key).map(|(_, written)| written);
            let content = match (cut, written) {
                (PowerCut::Torn, Some(written)) => torn(&synced, written, dice),
                _ => synced,
            };
            loss.bytes += written.map_or(0, |written| differing(&content, written));
            contents.insert(name, content);
        }
        self.replace_files(&contents)?;
        Ok(loss)
    }

    /// What lies there afterwards is on the disk.
    fn replace_files(&self, contents: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
        for (name, _) in files_in(&self.files)?.values() {
            fs::remove_file(self.files.join(name))?;
        }
        for entry in fs::read_dir(&self.synced)? {
            fs::remove_file(entry?.path())?;
        }
        let mut entries = String::new();
        for (name, content) in contents {
            let path = self.files.join(name);
            fs::write(&path, content)?;
            let key = key(&path)?;
            fs::write(self.synced.join(&key), content)?;
            writeln!(entries, "{key} {name}")?;
        }
        Ok(fs::write(self.synced.join(key(&self.files)?), entries)?)
    }

    /// Notes everything that lies there now as being on the disk: for whoever has changed the files itself.
    pub fn sync(&self) -> anyhow::Result<()> {
        let live = files_in(&self.files)?;
        self.replace_files(&live.into_values().collect())
    }
}

/// In place: the process has the file mapped.
fn set(file: &Path, number: i64) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(file)?;
    Ok(std::os::unix::fs::FileExt::write_all_at(&file, &number.to_ne_bytes(), 0)?)
}

/// Names and contents of the files in a directory, by what they are known by.
fn files_in(directory: &Path) -> anyhow::Result<BTreeMap<String, (String, Vec<u8>)>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(key(&path)?, (name, fs::read(&path)?));
        }
    }
    Ok(files)
}

/// As the library in C names it.
fn key(path: &Path) -> anyhow::Result<String> {
    let about: Metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
    let born = about.created()?.duration_since(UNIX_EPOCH)?;
    Ok(format!("{}-{}.{:09}", about.ino(), born.as_secs(), born.subsec_nanos()))
}

/// Each sector as it was synced or as it was written since, by chance; and so the file's end.
fn torn(synced: &[u8], written: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut content = synced.to_vec();
    let ends = [synced.len(), written.len()];
    content.resize(*dice.pick(&ends).unwrap_or(&synced.len()), 0);
    for (number, sector) in content.chunks_mut(SECTOR).enumerate() {
        let Some(new) = written.get(number * SECTOR..) else { break };
        let length = sector.len().min(new.len());
        if sector[..length] != new[..length] && dice.below(2) == 0 {
            sector[..length].copy_from_slice(&new[..length]);
        }
    }
    content
}

fn differing(content: &[u8], written: &[u8]) -> u64 {
    let same = content.iter().zip(written).filter(|(a, b)| a == b).count();
    (written.len() - same) as u64
}
