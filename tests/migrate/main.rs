//! Applies the migrations to the database of `DATABASE_URL`, for `make prepare`: the hub itself cannot be built while its
//! queries are ahead of `.sqlx/`.

use anyhow::Context as _;
use clap::Parser;
use sqlx::{Connection as _, PgConnection};

#[derive(Parser)]
struct Cli {
    /// The database.
    #[arg(long, env = "DATABASE_URL")]
    database_url: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&Cli::parse().database_url).await.context("cannot connect")?;
    sqlx::migrate!("../migrations").run(&mut connection).await.context("cannot migrate")
}
