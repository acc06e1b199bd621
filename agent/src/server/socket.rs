//! The Unix socket: its file's rights are who may come in.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::config::SocketRights;

/// Listens at a path. A socket file that nobody listens on is replaced; anything else there is an error.
///
/// The socket is made under another name and renamed into place, so that it appears with its rights
/// and ready to take connections.
pub(super) async fn bind(path: &Path, rights: SocketRights) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        Ok(_) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
            Ok(_) => {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another agent listens there"));
            }
        },
    }
    let new = beside(path);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    // Closed until it belongs to whom it is for.
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    if rights.owner.is_some() || rights.group.is_some() {
        std::os::unix::fs::chown(&new, rights.owner, rights.group)?;
    }
    fs::set_permissions(&new, Permissions::from_mode(rights.mode))?;
    fs::rename(&new, path)?;
    Ok(listener)
}

/// Serves a socket that a service manager opened. Its file and its rights are the manager's.
pub(super) fn adopt(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Takes the file away at the end; the next start would replace it anyway.
pub(super) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(error = %error, "the socket's file was not there to be removed");
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/agent.sock");
        let listener = bind(&path, SocketRights::default()).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(bind(&path, SocketRights::default()).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(path.exists());
        let listener = bind(&path, SocketRights::default()).await.unwrap();
        UnixStream::connect(&path).await.unwrap();
        drop(listener);
    }

    #[tokio::test]
    async fn the_operator_says_who_may_come_in() {
        use std::os::unix::fs::MetadataExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let own = fs::metadata(directory.path()).unwrap();
        // Only root gives files away; everybody may give them to their own group.
        let group = if own.uid() == 0 { 33 } else { own.gid() };
        let rights = SocketRights { mode: 0o620, owner: Some(own.uid()), group: Some(group) };
        let _listener = bind(&path, rights).await.unwrap();
        let made = fs::metadata(&path).unwrap();
        assert_eq!((made.permissions().mode() & 0o777, made.gid()), (0o620, group));
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert_eq!(
            bind(&path, SocketRights::default()).await.unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }
}
