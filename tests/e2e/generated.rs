//! What is generated and committed is what the code and the database would generate now.
//!
//! (The extension's stub is compared with the loaded module by the extension's own tests.)

use std::path::Path;

use serde_json::Value;
use sqlx::{Executor as _, PgPool, SqlSafeStr as _};

#[test]
fn the_openapi_document_is_the_code_s() -> anyhow::Result<()> {
    let committed = std::fs::read_to_string(e2e::root().join("docs/openapi.json"))?;
    let generated = trastienda_hub::openapi::document_json()?;
    let differs = || {
        let (is, should_be) = committed
            .lines()
            .zip(generated.lines())
            .find(|(is, should_be)| is != should_be)
            .unwrap_or(("its end", "more"));
        format!("docs/openapi.json has `{is}` where the code says `{should_be}`: run `make prepare`")
    };
    assert!(committed.trim_end() == generated.trim_end(), "{}", differs());
    Ok(())
}

/// The macros name a file by its query's digest and refuse to compile without it: what is left to find are files that say
/// what the database no longer says, and files that no query needs.
#[sqlx::test(migrations = "../migrations")]
async fn every_committed_query_is_what_the_database_says(pool: PgPool) -> anyhow::Result<()> {
    let source = source_of(&e2e::root().join("hub/src"))?;
    let mut stale = Vec::new();
    let mut files = 0;
    for entry in std::fs::read_dir(e2e::root().join(".sqlx"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let query = kept["query"].as_str().unwrap().to_owned();
        files += 1;
        if !source.contains(&query) && !source.contains(&query.replace('"', "\\\"")) {
            stale.push(format!("{name}: no query in hub/src reads\n{query}"));
        }
        match pool.describe(sqlx::AssertSqlSafe(query.clone()).into_sql_str()).await {
            Ok(said) if serde_json::to_value(&said)? == kept["describe"] => {}
            Ok(said) => stale.push(format!("{name}: the database says {said:?} of\n{query}")),
            Err(error) => stale.push(format!("{name}: {error}, of\n{query}")),
        }
    }
    assert!(stale.is_empty(), "run `make prepare`\n{}", stale.join("\n"));
    assert!(files > 100, "only {files} queries were looked at");
    Ok(())
}

fn source_of(directory: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            text.push_str(&source_of(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(text)
}
