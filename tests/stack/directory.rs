//! The temporary directory of a stack: its files, its logs, and the processes that work in it.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use tempfile::TempDir;

/// The temporary directory of a stack.
#[derive(Debug)]
pub struct Directory(TempDir);

impl Directory {
    /// A directory that the embedded PostgreSQL's unprivileged user can pass through.
    pub fn new() -> anyhow::Result<Self> {
        // Short: a Unix socket's path must fit into 107 bytes.
        let directory = tempfile::Builder::new().prefix("tt-").tempdir_in("/tmp")?;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
        Ok(Self(directory))
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What all processes wrote, by file, for whoever looks for a cause or for a secret.
    pub fn logs(&self) -> anyhow::Result<Vec<(PathBuf, String)>> {
        let mut logs = Vec::new();
        let mut directories = vec![self.0.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() && !path.ends_with("postgresql/data/base") {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "log") {
                    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
                    logs.push((path, String::from_utf8_lossy(&text).into_owned()));
                }
            }
        }
        Ok(logs)
    }

    /// The end of every log, for whoever reads why something did not happen.
    pub fn log_tails(&self) -> anyhow::Result<String> {
        let mut tails = String::new();
        for (path, text) in self.logs()? {
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(15)..].join("\n");
            if !tail.is_empty() {
                let name = path.strip_prefix(self.0.path()).unwrap_or(&path);
                writeln!(tails, "\n--- {}\n{tail}", name.display())?;
            }
        }
        Ok(tails)
    }

    /// The processes that were told of this directory, on their command line or in their environment.
    pub fn processes(&self) -> anyhow::Result<Vec<String>> {
        processes_of(&self.0.path().to_string_lossy())
    }
}

/// The running processes that were told of a directory, on their command line or in their environment.
pub fn processes_of(directory: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.parse() == Ok(std::process::id()) || name.bytes().any(|byte| !byte.is_ascii_digit()) {
            continue;
        }
        // What ends while we look, or is another user's, has nothing to read.
        let read = |file: &str| {
            let bytes = std::fs::read(entry.path().join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let command = read("cmdline");
        if command.contains(directory) || read("environ").contains(directory) {
            found.push(format!("{name} {}", command.trim()));
        }
    }
    Ok(found)
}
