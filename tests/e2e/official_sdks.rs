//! Mercado Pago's own SDKs work with its simulator as they are: only their address is another.
//! `scripts/setup.sh` installs them, outside the tracked tree; where it could not, this has nothing to run.

use std::path::PathBuf;
use std::process::Output;

use anyhow::{Context as _, ensure};
use e2e::{Directory, Simulator, command, root};

/// Where the SDKs are kept, as in `scripts/setup.sh`.
fn cache() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a test reads where its tools are")]
    let read = |name: &str| std::env::var(name).ok().map(PathBuf::from);
    read("TRASTIENDA_SDK_CACHE").or_else(|| {
        let home = read("XDG_CACHE_HOME").or_else(|| Some(read("HOME")?.join(".cache")));
        Some(home?.join("trastienda/sdks"))
    })
}

/// The SDK's place, once it is wholly installed.
fn installed(name: &str) -> Option<PathBuf> {
    let place = cache()?.join(name);
    let is_ready = place.join("ready").exists();
    if !is_ready {
        eprintln!("{name} is not installed: scripts/setup.sh installs it");
    }
    is_ready.then_some(place)
}

fn check(output: &Output) -> anyhow::Result<()> {
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && told.trim() == "ok",
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[tokio::test]
async fn the_python_sdk_works_unchanged() -> anyhow::Result<()> {
    let Some(sdk) = installed("py-3.6.0") else { return Ok(()) };
    let directory = Directory::new()?;
    let simulator = Simulator::start(&directory).await?;
    let mut python = command(sdk.join("bin/python"));
    python.arg(root().join("tests/sdk/mercadopago_sdk.py")).args([&simulator.url, &simulator.access_token]);
    check(&python.output().await.context("python")?)
}

#[tokio::test]
async fn the_node_sdk_works_unchanged() -> anyhow::Result<()> {
    let Some(sdk) = installed("node-3.6.1") else { return Ok(()) };
    let directory = Directory::new()?;
    let simulator = Simulator::start(&directory).await?;
    let mut node = command("/usr/bin/env");
    node.arg("node").arg(root().join("tests/sdk/mercadopago_sdk.cjs"));
    node.arg(sdk.join("node_modules/mercadopago")).args([&simulator.url, &simulator.access_token]);
    check(&node.output().await.context("node")?)
}
