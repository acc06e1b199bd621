//! Backups: one file that holds the whole database and says which master key it needs.
//!
//! - A file is a [`manifest`], padded to [`manifest::LENGTH`] bytes, and behind it what `pg_dump` wrote in its custom format: without
//!   this program, `tail -c +4097 FILE | pg_restore …` opens it.
//! - It appears under its name only once it is whole and on the disk.
//! - For each master key that sealed anything in it, it holds the manifest's digest sealed with that key. So a key that
//!   does not fit is refused before anything is written, as is a file that was changed; of the key it says no more than any
//!   sealed value does.
//! - A restore is one transaction, committed by a last line that is sent only when everything before it was:
//!   whatever is cut off, whoever is killed, the database is as it was.
//!
//! No password stands on a command line or in a log. What it does not do: keep the master key, or say
//! what happened after the backup was made.

pub mod manifest;
mod programs;
pub mod restore;
mod store;
pub mod write;

pub use manifest::Manifest;
