//! A hub with its own PostgreSQL is backed up while it runs, and comes back on another disk.

use anyhow::ensure;
use e2e::{Directory, Hub};
use serde_json::json;

#[tokio::test]
async fn a_hub_with_its_own_database_comes_back_in_another_directory() -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let mut hub = Hub::start_alone(&directory).await?;
    let project = hub.create_project("Mates", "mates.example.com").await?;
    let made = hub.post(&project, "/v1/events", json!({"type": "gift.made", "data": {"note": "Ñ"}})).await?;
    let file = directory.path("hub.backup").display().to_string();
    hub.tell(&["backup", &file]).await?;
    let later = hub.create_project("Later", "later.example.com").await?;
    // A running hub is not pulled away from under its callers.
    let refused = hub.tell(&["restore", &file, "--replace"]).await.unwrap_err().to_string();
    ensure!(refused.contains("stop them first"), "{refused}");
    let key = std::fs::read(directory.path("hub/master.key"))?;
    hub.pause().await?;

    let another = directory.path("another");
    hub.set("TRASTIENDA_DATA_DIR", &another.display().to_string());
    // Without the key nothing is made, least of all a new one.
    let refused = hub.tell(&["restore", &file]).await.unwrap_err().to_string();
    ensure!(refused.contains("there is no master key") && !another.exists(), "{refused}");
    std::fs::create_dir(&another)?;
    std::fs::write(another.join("master.key"), key)?;
    hub.tell(&["restore", &file]).await?;
    hub.restart(&directory).await?;
    let path = format!("/v1/events/{}", made["id"].as_str().unwrap_or_default());
    ensure!(hub.get(&project, &path).await?["data"]["note"] == "Ñ");
    ensure!(hub.get(&later, "/v1/project").await.is_err(), "what came after the backup is not in it");
    hub.stop().await
}
