//! The disk that the agent's buffer lies on: small enough to be filled.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use e2e::{Directory, command};

/// How large it is.
const SIZE: u64 = 48 * 1024 * 1024;

/// A file system in a file, or an ordinary directory where nothing may be mounted.
#[derive(Debug)]
pub(crate) struct Disk {
    mount: PathBuf,
    /// Why it cannot be filled.
    pub(crate) unfillable: Option<String>,
}

impl Disk {
    /// Makes it and mounts it. That takes root and a kernel that lets us; without, it says why.
    pub(crate) async fn new(directory: &Directory) -> anyhow::Result<Self> {
        let mount = directory.path("disk");
        fs::create_dir(&mount)?;
        let unfillable = Self::mount(&directory.path("disk.img"), &mount).await.err();
        let disk = Self { mount, unfillable: unfillable.map(|error| format!("{error:#}")) };
        fs::create_dir(disk.data_dir())?;
        fs::set_permissions(disk.data_dir(), fs::Permissions::from_mode(0o700))?;
        Ok(disk)
    }

    async fn mount(image: &Path, mount: &Path) -> anyhow::Result<()> {
        fs::File::create(image)?.set_len(SIZE)?;
        // As little as possible of it is the file system's own.
        let mut make = command("mkfs.ext4");
        make.args(["-q", "-m", "0", "-O", "^has_journal,^resize_inode"]).arg(image);
        let mut mounting = command("mount");
        mounting.args(["-o", "loop"]).arg(image).arg(mount);
        for command in [&mut make, &mut mounting] {
            let output = command.output().await.context("mkfs.ext4 and mount are needed")?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Where the agent keeps its buffer.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.mount.join("buffer")
    }

    fn ballast(&self) -> PathBuf {
        self.mount.join("ballast")
    }

    /// Takes all the room that there is.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.ballast())?;
        for size in [1 << 20, 64 << 10, 4 << 10, 512] {
            let block = vec![0xb7; size];
            loop {
                match file.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(file.sync_data()?)
    }

    /// Gives the room back.
    pub(crate) fn clear(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.unfillable.is_none() {
            // Lazily: who still has a file open there is about to end.
            let _ = std::process::Command::new("umount").arg("-l").arg(&self.mount).status();
        }
    }
}
