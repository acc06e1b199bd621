//! `trastienda-hub seed`: two demonstration projects.

use clap::Args;
use serde_json::json;
use trastienda_protocol::api_key::Mode;

use super::{open, operations, refusal, say};
use crate::config::StoreArgs;
use crate::projects::operations::NewProject;
use crate::projects::plans::Plan;

#[derive(Args)]
pub(super) struct SeedArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl SeedArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let store = open(&self.store).await?;
        let mut made = Vec::new();
        let shops = [
            ("Tienda de mates", "mates.example.com", Plan::Free),
            ("Librería del sur", "libros.example.com", Plan::Pro),
        ];
        for (name, domain, plan) in shops {
            let new = NewProject { name: name.to_owned(), domain: domain.to_owned(), plan, mode: Mode::Test };
            made.push(operations(&store).create(new).await.map_err(refusal)?);
        }
        store.close(false).await;
        if self.json {
            let projects: Vec<_> = made
                .iter()
                .map(|(project, key)| json!({"project": project, "api_key": key.expose()}))
                .collect();
            say(&serde_json::to_string_pretty(&json!({"data": projects}))?);
        } else {
            for (project, key) in made {
                say(&format!(
                    "{}  {}\n  API key (shown this once): {}",
                    project.id,
                    project.name,
                    key.expose()
                ));
            }
        }
        Ok(())
    }
}
