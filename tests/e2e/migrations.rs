//! Expand and contract: a migration that a hub of the version before would trip over says so in its name.

use std::collections::{BTreeMap, BTreeSet};

use e2e::root;

/// A migration's statements, lower case, without comments, texts and needless spaces.
fn statements(sql: &str) -> Vec<String> {
    let mut bare = String::new();
    for line in sql.lines() {
        bare.push_str(line.split("--").next().unwrap_or_default());
        bare.push(' ');
    }
    // What is between quotes is data, of functions too: every other piece.
    let kept = |text: &str, quote: &str| text.split(quote).step_by(2).collect::<Vec<_>>().join(" ''");
    let bare = kept(&kept(&bare, "$$"), "'").to_lowercase();
    let words = |statement: &str| statement.split_whitespace().collect::<Vec<_>>().join(" ");
    bare.split(';').map(words).filter(|statement| !statement.is_empty()).collect()
}

/// The parts of an `alter table`, by the commas outside of brackets.
fn actions(statement: &str) -> Vec<String> {
    let (mut depth, mut parts) = (0_i32, vec![String::new()]);
    for letter in statement.chars() {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        match letter {
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(letter),
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// The name after a phrase, without schema, bracket or `if (not) exists`.
fn after<'a>(statement: &'a str, phrase: &str) -> Option<&'a str> {
    let rest = statement.split_once(phrase)?.1.trim_start();
    let rest = ["if not exists ", "if exists ", "only "]
        .iter()
        .fold(rest, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
    rest.split([' ', '(']).find(|word| !word.is_empty())
}

/// Whether a check speaks of some columns alone.
fn is_about(check: &str, columns: &BTreeSet<String>) -> bool {
    const WORDS: [&str; 12] =
        ["add", "check", "is", "not", "null", "and", "or", "in", "between", "true", "false", "any"];
    let words = check.split(|c: char| !c.is_ascii_alphabetic() && c != '_').filter(|word| !word.is_empty());
    words.filter(|word| !WORDS.contains(word)).all(|word| columns.contains(word))
}

/// What in a migration breaks a hub that knows the schema as it was.
fn breaks(sql: &str) -> Vec<String> {
    let all = statements(sql);
    let made: BTreeSet<&str> = all
        .iter()
        .filter(|s| s.starts_with("create table"))
        .filter_map(|s| after(s, "create table"))
        .collect();
    let is_new = |table: Option<&str>| table.is_some_and(|table| made.contains(table));
    let mut found = Vec::new();
    for statement in &all {
        let mut say = |what: &str, action: &str| found.push(format!("{what}: {action}"));
        let first = |count| statement.split(' ').take(count).collect::<Vec<_>>().join(" ");
        match (first(1).as_str(), first(2).as_str()) {
            ("drop", "drop index") => {}
            ("drop", _) => say("takes something away", statement),
            ("truncate", _) => say("empties a table", statement),
            (_, "create unique") if !is_new(after(statement, " on ")) => {
                say("makes something unique that was not", statement);
            }
            (_, "alter table") => {
                let table = after(statement, "alter table");
                if is_new(table) {
                    continue;
                }
                let body = statement.split_once(table.unwrap_or_default()).map_or("", |(_, body)| body);
                let added: BTreeSet<String> = actions(body)
                    .iter()
                    .filter_map(|a| after(a.strip_prefix("add ")?, "column ").map(str::to_owned))
                    .collect();
                let dropped: BTreeSet<String> = actions(body)
                    .iter()
                    .filter_map(|a| after(a, "drop constraint").map(str::to_owned))
                    .collect();
                for action in actions(body) {
                    let words: Vec<&str> = action.split(' ').collect();
                    let has = |phrase: &str| format!(" {action} ").contains(&format!(" {phrase} "));
                    match words.as_slice() {
                        ["rename", ..] => say("renames", &action),
                        ["drop", "constraint", ..] => {}
                        ["drop", ..] => say("takes a column away", &action),
                        // The same constraint, anew and wider, is how a state is added.
                        ["add", "constraint", name, ..] if dropped.contains(*name) => {}
                        // What is asked of new columns alone: an old hub leaves them as they begin.
                        ["add", "check", ..] if is_about(&action, &added) => {}
                        [
                            "add",
                            "constraint" | "check" | "unique" | "primary" | "foreign" | "exclude",
                            ..,
                        ] => {
                            say("forbids what was allowed", &action);
                        }
                        ["add", ..] if has("not null") && !has("default") && !has("generated") => {
                            say("asks old writers for what they do not know", &action);
                        }
                        ["alter", ..] if has("type") => say("changes a type", &action),
                        ["alter", ..] if has("set not null") || has("drop default") => {
                            say("asks old writers for what they do not know", &action);
                        }
                        _ => {}
                    }
                }
            }
            ("alter", _) if format!(" {statement} ").contains(" rename ") => say("renames", statement),
            _ => {}
        }
    }
    found
}

fn migrations() -> anyhow::Result<BTreeMap<u32, (String, String)>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(root().join("migrations"))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Some((number, what)) = name.split_once('_') else { continue };
        let sql = std::fs::read_to_string(&path)?;
        let before = all.insert(number.parse()?, (what.to_owned(), sql));
        assert!(before.is_none(), "two migrations have the number {number}");
    }
    Ok(all)
}

#[test]
fn a_migration_that_breaks_the_version_before_says_so_in_its_name() -> anyhow::Result<()> {
    let all = migrations()?;
    assert!(all.len() >= 12);
    for (number, (what, sql)) in &all {
        let breaks = breaks(sql);
        let is_contract = what.split('_').next() == Some(trastienda_hub::db::CONTRACT);
        assert!(
            is_contract || breaks.is_empty(),
            "{number:04}_{what}.sql breaks a hub of the version before; expand and contract (migrations/README.md): {breaks:?}"
        );
        if is_contract {
            assert!(
                !breaks.is_empty(),
                "{number:04}_{what}.sql takes nothing away: it keeps old hubs from starting for nothing"
            );
            let of =
                sql.lines().next().and_then(|line| line.strip_prefix("-- contract of ")?.split_once(": "));
            let of =
                of.and_then(|(of, why)| of.parse::<u32>().ok().filter(|of| !why.is_empty() && of < number));
            assert!(
                of.is_some_and(|of| all.contains_key(&of)),
                "{number:04}_{what}.sql: the first line must be `-- contract of NNNN: …`"
            );
        }
    }
    Ok(())
}

#[test]
fn the_rule_finds_what_breaks_and_lets_pass_what_only_adds() {
    let broken = [
        "drop table events;",
        "alter table events drop column data;",
        "alter table events drop data;",
        "alter table events rename column data to payload;",
        "alter table events rename to things;",
        "alter type kind rename value 'a' to 'b';",
        "alter table events alter column type type varchar(10);",
        "alter table events alter type set data type varchar(10);",
        "alter table events add column colour text not null;",
        "alter table events add column a int, add column b numeric(10, 2) not null;",
        "alter table events alter column data set not null;",
        "alter table events alter column colour drop default;",
        "alter table events add constraint short check (length(type) < 9);",
        "alter table events add check (length(type) < 9);",
        "alter table events add column colour text, add check (colour is null or source = 'shop');",
        "create unique index one_a_day on events (project_id, created_at);",
        "truncate events;",
        "ALTER TABLE events\n  DROP COLUMN data; -- nobody reads it",
    ];
    for sql in broken {
        assert_eq!(breaks(sql).len(), 1, "{sql}: {:?}", breaks(sql));
    }
    let fine = [
        "create table things (id uuid primary key, name text not null, unique (name));",
        "create table things (id uuid); create unique index things_one on things (id);",
        "create table things (id uuid); alter table things add column name text not null;",
        "alter table events add column colour text;",
        "alter table events add column colour text not null default 'drop column';",
        "alter table events add column n bigint not null generated always as identity;",
        "alter table events alter column data drop not null;",
        "alter table events add column hue int, add column tint int, add check ((hue is null) = (tint is null));",
        "alter table events drop constraint kinds, add constraint kinds check (type in ('a', 'b'));",
        "drop index events_newest;",
        "create index events_newest on events (project_id);",
        "update events set data = '{}'; -- rename, drop table",
    ];
    for sql in fine {
        assert_eq!(breaks(sql), Vec::<String>::new(), "{sql}");
    }
}
