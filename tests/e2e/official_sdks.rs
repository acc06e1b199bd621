//! Mercado Pago's own SDKs work with its simulator as they are: only their address is another.

use std::path::PathBuf;
use std::process::Output;

use anyhow::{Context as _, ensure};
use e2e::{Directory, Simulator, command, root};

/// Where `tests/sdk/install.sh` puts them.
fn sdks() -> anyhow::Result<PathBuf> {
    let place = root().join(".sdks");
    ensure!(place.join("pins").exists(), "the SDKs are not installed: run scripts/setup.sh");
    Ok(place)
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
    let sdk = sdks()?;
    let directory = Directory::new()?;
    let simulator = Simulator::start(&directory).await?;
    let mut python = command(sdk.join("python/bin/python"));
    python.arg(root().join("tests/sdk/mercadopago_sdk.py")).args([&simulator.url, &simulator.access_token]);
    check(&python.output().await.context("python")?)
}

#[tokio::test]
async fn the_node_sdk_works_unchanged() -> anyhow::Result<()> {
    let sdk = sdks()?;
    let directory = Directory::new()?;
    let simulator = Simulator::start(&directory).await?;
    let mut node = command("/usr/bin/env");
    node.arg("node").arg(root().join("tests/sdk/mercadopago_sdk.cjs"));
    node.arg(sdk.join("node/node_modules/mercadopago")).args([&simulator.url, &simulator.access_token]);
    check(&node.output().await.context("node")?)
}
