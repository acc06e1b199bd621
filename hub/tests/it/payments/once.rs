//! Three hubs ask the provider as often as one would: each account and each payment has its turn once.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sqlx::PgPool;
use trastienda_hub::payments::reconcile;
use trastienda_protocol::ids::{Id as _, ProjectId};

use super::world::World;
use crate::support::TestApp;

/// The provider's calls that the hubs of this process made, by kind.
fn calls(world: &World) -> BTreeMap<String, u64> {
    let metrics = world.test.app.metrics.render();
    let lines = metrics.lines().filter(|line| line.starts_with("trastienda_provider_calls_total{"));
    let mut calls = BTreeMap::new();
    for line in lines {
        let kind = line.split("call=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let count: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        *calls.entry(kind.to_owned()).or_default() += count;
    }
    calls
}

/// Moves every hub's clock, and waits until nothing that is due then is left; gives the calls that it took.
async fn pass(world: &World, others: &[TestApp], time: TimeDelta) -> BTreeMap<String, u64> {
    let before = calls(world);
    for test in std::iter::once(&world.test).chain(others) {
        test.clock.advance(time);
    }
    // The hubs' clocks stand still, a moment apart: what none of them finds due is done.
    let now = std::iter::once(&world.test).chain(others).map(TestApp::now).max().unwrap();
    let due = "select (select count(*) from payment_transactions where action is not null and (run_at <= $1 or lease_token is not null))
                    + (select count(*) from payment_providers where sweep_at <= $1 or lease_token is not null)
                    + (select count(*) from payment_reconciliations where run_at <= $1 or lease_token is not null)";
    world
        .test
        .until_within(std::time::Duration::from_mins(1), "nothing is due", async || {
            let due: i64 = sqlx::query_scalar(due).bind(now).fetch_one(&world.test.app.db).await.unwrap();
            (due == 0).then_some(())
        })
        .await;
    let mut made = calls(world);
    made.retain(|kind, count| {
        *count -= before.get(kind).copied().unwrap_or_default();
        *count > 0
    });
    made
}

#[sqlx::test(migrations = "../migrations")]
async fn three_hubs_ask_the_provider_as_often_as_one(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let others = [world.another_hub().await, world.another_hub().await];
    for order in ["A-1", "A-2", "A-3"] {
        world.waiting(order).await;
    }
    // The books of a first time, so that there is a row of theirs.
    pass(&world, &others, TimeDelta::days(1)).await;
    let project = ProjectId::parse(&world.project).unwrap();
    let alone = calls(&world).get("books").copied().unwrap_or_default();
    reconcile::run(&world.test.app, project, world.test.now() - TimeDelta::hours(30)).await.unwrap();
    let books = calls(&world)["books"] - alone;
    assert!(books > 0);

    for _ in 0..3 {
        let made = pass(&world, &others, TimeDelta::hours(1)).await;
        // One look at the account, and one at each payment.
        let expected = [("search", 3), ("sweep", 1)].map(|(kind, count)| (kind.to_owned(), count));
        assert_eq!(made, BTreeMap::from(expected));
    }
    for _ in 0..2 {
        let made = pass(&world, &others, TimeDelta::days(1)).await;
        let expected =
            [("books", books), ("search", 3), ("sweep", 1)].map(|(kind, count)| (kind.to_owned(), count));
        assert_eq!(made, BTreeMap::from(expected));
    }
}
