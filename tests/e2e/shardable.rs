//! Which tables can be spread over machines by project, and why the others are not: docs/capacity.md tells what that takes.

use std::collections::BTreeMap;

use e2e::root;

/// Tables whose keys do not begin with the project: small ones, that a distributed database keeps whole on every machine or on one.
const NOT_BY_PROJECT: [(&str, &str); 12] = [
    ("alert_rules", "the operator's settings, a row a kind of alert"),
    ("alert_settings", "one row"),
    ("alert_webhooks", "what is told to the operator, over all projects"),
    ("alerts", "what the operator is told of, the hub itself included"),
    ("api_keys", "a key names no project: it is how the project is found; one or two rows a project"),
    ("audit_log", "what operators did, over all projects, in one order"),
    ("dashboard_sessions", "operators' sessions: a cookie names no project"),
    ("hub_secrets", "the hub's own, a row a secret"),
    ("hubs", "the hubs that run, a row each"),
    ("key_epoch", "one row"),
    ("operator_mails", "mails to the operator, over all projects"),
    ("operators", "the operators' names"),
];

/// Unique indexes without the project, which a distributed database can hold only within each part.
const NOT_UNIQUE_BY_PROJECT: [(&str, &str); 2] = [
    ("alerts_one_open", "of a table that is kept whole"),
    (
        "notifications_open_token",
        "the digest of 128 random bits: unique without anybody's looking, and found by itself alone",
    ),
];

/// Every table, with the columns of its primary key.
fn tables() -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let mut found = BTreeMap::new();
    let mut files: Vec<_> = std::fs::read_dir(root().join("migrations"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    for path in files {
        let sql = std::fs::read_to_string(path)?;
        let lines: Vec<&str> =
            sql.lines().map(|line| line.split("--").next().unwrap_or_default().trim()).collect();
        for statement in lines.join(" ").split(';') {
            let Some(rest) = statement.trim().strip_prefix("create table ") else { continue };
            let (name, body) = rest.split_once('(').unwrap_or((rest, ""));
            let key = match body.split_once("primary key (") {
                Some((_, columns)) => {
                    let columns = columns.split(')').next().unwrap_or_default();
                    columns.split(',').map(|column| column.trim().to_owned()).collect()
                }
                None => body
                    .split(',')
                    .filter(|column| column.contains(" primary key"))
                    .filter_map(|column| column.split_whitespace().next().map(str::to_owned))
                    .collect(),
            };
            found.insert(name.trim().to_owned(), key);
        }
    }
    Ok(found)
}

/// The root: its `id` is what the others call `project_id`.
const ROOT: &str = "projects";

#[test]
fn every_table_is_keyed_by_project_or_says_why_not() -> anyhow::Result<()> {
    let tables = tables()?;
    assert!(tables.len() > 30 && tables.values().all(|key| !key.is_empty()), "{tables:?}");
    let not: BTreeMap<&str, &str> = NOT_BY_PROJECT.into();
    for (table, key) in &tables {
        let by_project = key.first().is_some_and(|column| column == "project_id") || table == ROOT;
        match not.get(table.as_str()) {
            None => assert!(
                by_project,
                "{table} ({}): its key does not begin with project_id; if it must not, say why",
                key.join(", ")
            ),
            Some(_) => assert!(!by_project, "{table} is keyed by project: it needs no reason any more"),
        }
    }
    let gone: Vec<_> = not.keys().filter(|table| !tables.contains_key(**table)).collect();
    assert!(gone.is_empty(), "there are no such tables: {gone:?}");
    Ok(())
}

#[test]
fn what_is_unique_or_referred_to_is_so_within_a_project() -> anyhow::Result<()> {
    let mut looked_at = 0;
    for entry in std::fs::read_dir(root().join("migrations"))? {
        let path = entry?.path();
        let sql = std::fs::read_to_string(&path)?;
        let lines: Vec<&str> =
            sql.lines().map(|line| line.split("--").next().unwrap_or_default().trim()).collect();
        let sql = lines.join(" ");
        for rest in sql.split("create unique index ").skip(1) {
            let name = rest.split(' ').next().unwrap_or_default();
            let columns = rest.split_once('(').map_or("", |(_, columns)| columns);
            let by_project = columns.starts_with("project_id");
            let excused = NOT_UNIQUE_BY_PROJECT.iter().any(|(known, _)| *known == name);
            assert!(
                by_project != excused,
                "{name}: a unique index that does not begin with project_id needs a reason"
            );
            looked_at += 1;
        }
        for rest in sql.split("foreign key (").skip(1) {
            assert!(rest.starts_with("project_id, "), "{}: foreign key ({rest:.60}", path.display());
            looked_at += 1;
        }
        for rest in sql.split(" references ").skip(1) {
            // The root is small, and kept whole everywhere, as are those that have nothing to do with projects.
            let to = rest.split_once(" (").map_or("", |(to, _)| to);
            let whole = to == ROOT || NOT_BY_PROJECT.iter().any(|(known, _)| *known == to);
            assert!(whole || rest.contains("(project_id, "), "{}: {rest:.60}", path.display());
        }
    }
    assert!(looked_at >= 5, "{looked_at}");
    Ok(())
}

/// A claim is the only kind of statement that locks rows of several projects: what a distributed database wants made per machine.
#[test]
fn only_claims_lock_rows_of_several_projects() -> anyhow::Result<()> {
    let (mut claims, mut others) = (0, 0);
    for entry in std::fs::read_dir(root().join(".sqlx"))? {
        let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
        let query = kept["query"].as_str().unwrap_or_default();
        let words = query.split_whitespace().collect::<Vec<_>>().join(" ");
        if !words.contains("for update") {
            continue;
        }
        if words.contains("skip locked") {
            claims += 1;
        } else {
            let one_project =
                words.contains("project_id = $1") || words.contains("from projects where id = $1");
            assert!(one_project, "locks rows of several projects, and is no claim: {words}");
            others += 1;
        }
    }
    assert!(claims >= 8 && others >= 3, "{claims} claims, {others} others");
    Ok(())
}

#[test]
fn the_page_about_capacity_tells_of_each_table_that_is_not_by_project() -> anyhow::Result<()> {
    let page = std::fs::read_to_string(root().join("docs/capacity.md"))?;
    for (table, _) in NOT_BY_PROJECT {
        assert!(page.contains(&format!("`{table}`")), "{table}");
    }
    Ok(())
}
