//! A buffer that an earlier agent made becomes one of this version, with everything in it.
//!
//! It is copied into a new file, which takes the old one's name when it is whole and on the disk: a
//! crash in between leaves the old one as it was.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::open::{self, OpenError, files};
use crate::buffer::call::Durability;

const FROM_1: &str = include_str!("upgrade.sql");

/// Upgrades the database at a path from version 1; nobody has it open.
pub(super) fn from_1(path: &Path) -> Result<(), OpenError> {
    let new = path.with_file_name("buffer-upgrade.db");
    for file in files(&new) {
        remove(&file)?;
    }
    // Whole in one file before the rename: what its log holds would not be renamed with it.
    let connection = Connection::open(&new)?;
    open::configure(&connection, Durability::Disk)?;
    open::create(&connection)?;
    connection.execute("ATTACH DATABASE ?1 AS old", [path.to_string_lossy()])?;
    connection.execute_batch(&format!("BEGIN IMMEDIATE;\n{FROM_1}\nCOMMIT;"))?;
    connection.execute_batch("DETACH DATABASE old")?;
    connection.close().map_err(|(_, error)| error)?;
    File::open(&new)?.sync_all()?;
    fs::set_permissions(&new, fs::metadata(path)?.permissions())?;
    // A log of the old one beside the new one would be taken for its own: SQLite has emptied it by closing.
    fs::rename(&new, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    tracing::info!("the buffer was made by an earlier agent and has been upgraded; nothing was lost");
    Ok(())
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
