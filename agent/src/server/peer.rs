//! Who calls: what the kernel says of a socket's other end goes into the log.

use std::collections::HashSet;

use tokio::net::{TcpStream, UnixStream};

/// Users that are remembered; there are few on a shop's host.
const USERS_MAX: usize = 64;

/// A stream whose other end can be told.
pub(super) trait Peer {
    /// User, group and process of the other end, where the kernel knows them.
    fn credentials(&self) -> Option<(u32, u32, Option<i32>)>;
}

impl Peer for UnixStream {
    fn credentials(&self) -> Option<(u32, u32, Option<i32>)> {
        let found = self.peer_cred().ok()?;
        Some((found.uid(), found.gid(), found.pid()))
    }
}

impl Peer for TcpStream {
    fn credentials(&self) -> Option<(u32, u32, Option<i32>)> {
        None
    }
}

/// The users that have called since the start.
#[derive(Debug, Default)]
pub(super) struct Seen(HashSet<u32>);

impl Seen {
    /// Logs a new connection: a user's first one for everybody to see, the others for who looks closely.
    pub(super) fn notice(&mut self, peer: &impl Peer) {
        let Some((uid, gid, pid)) = peer.credentials() else { return };
        if self.0.len() < USERS_MAX && self.0.insert(uid) {
            tracing::info!(
                peer.uid = uid,
                peer.gid = gid,
                peer.pid = pid,
                "a user of this host calls for the first time"
            );
        } else {
            tracing::debug!(peer.uid = uid, peer.gid = gid, peer.pid = pid, "a connection");
        }
    }
}
