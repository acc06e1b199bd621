//! The runbook: every alert has its page, and a page names only what there is.

use std::collections::BTreeSet;
use std::path::PathBuf;

use e2e::root;
use trastienda_hub::alerts::kinds::KINDS;

fn read(path: &str) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(root().join(path))?)
}

/// The pages by name, the list of them left out.
fn pages() -> anyhow::Result<Vec<(String, String)>> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(root().join("docs/runbook"))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name != "README" {
            pages.push((name, std::fs::read_to_string(path)?));
        }
    }
    pages.sort();
    Ok(pages)
}

/// The words after a prefix that are made of some characters only.
fn words<'a>(text: &'a str, prefix: &str, of: impl Fn(char) -> bool) -> BTreeSet<&'a str> {
    let starts = text.match_indices(prefix).map(|(at, _)| at);
    // Not the end of a longer word.
    let starts = starts.filter(|at| !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'));
    starts.map(|at| text[at..].split(|c| !of(c)).next().unwrap_or_default()).collect()
}

#[test]
fn every_alert_has_its_page_and_every_page_its_alert() -> anyhow::Result<()> {
    let rules = read("deploy/prometheus/alerts.yml")?;
    let list = read("docs/runbook/README.md")?;
    // The hub's own alerts, and then those of Prometheus.
    let mut wanted: BTreeSet<String> = KINDS.iter().map(|kind| kind.name.to_owned()).collect();
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap_or_default().trim();
        let (_, url) =
            rule.split_once("runbook_url: ").unwrap_or_else(|| panic!("{name} has no runbook_url"));
        let url = url.lines().next().unwrap_or_default().trim_matches('"');
        let page = url
            .strip_prefix("https://github.com/trastienda/trastienda/blob/main/docs/runbook/")
            .and_then(|file| file.strip_suffix(".md"))
            .unwrap_or_else(|| panic!("{name}: {url}"));
        let row = list.lines().find(|line| line.starts_with(&format!("| [{page}]({page}.md)")));
        assert!(row.is_some_and(|row| row.contains(&format!("`{name}`"))), "the list lacks {name} at {page}");
        wanted.insert(page.to_owned());
    }
    let there: BTreeSet<String> = pages()?.into_iter().map(|(name, _)| name).collect();
    assert_eq!(there, wanted);
    let listed: BTreeSet<&str> =
        list.lines().filter_map(|line| line.strip_prefix("| [")?.split(']').next()).collect();
    assert_eq!(listed, wanted.iter().map(String::as_str).collect());
    Ok(())
}

#[test]
fn every_page_says_what_it_means_how_to_look_and_how_to_mend() -> anyhow::Result<()> {
    for (name, text) in pages()? {
        for part in [
            "# ",
            "## Qué significa",
            "## Cómo mirar / How to look\n\n```sh\n",
            "## Cómo arreglar\n\n1. ",
            "## In English",
        ] {
            assert!(text.contains(part), "{name}: {part}");
        }
    }
    Ok(())
}

#[test]
fn the_pages_name_only_metrics_variables_and_routes_that_there_are() -> anyhow::Result<()> {
    let metrics = read("docs/metrics.md")?;
    let variables = read("docs/operations.md")?;
    let api: serde_json::Value = serde_json::from_str(&read("docs/openapi.json")?)?;
    let routes = api["paths"].as_object().cloned().unwrap_or_default();
    // An id stands for the parameter.
    let known = |path: &str| {
        routes.keys().any(|route| {
            let (theirs, ours) = (route.split('/'), path.split('/'));
            route.split('/').count() == path.split('/').count()
                && theirs
                    .zip(ours)
                    .all(|(theirs, ours)| theirs == ours || theirs.starts_with('{') && !ours.is_empty())
        })
    };
    let mut looked_at = 0;
    for metric in
        words(&read("deploy/prometheus/alerts.yml")?, "trastienda_", |c| c.is_ascii_lowercase() || c == '_')
    {
        assert!(metrics.contains(&format!("`{metric}`")), "alerts.yml: {metric}");
    }
    for (name, text) in pages()? {
        for metric in words(&text, "trastienda_", |c| c.is_ascii_lowercase() || c == '_') {
            // What a `grep` looks for may be the beginning of several.
            assert!(metrics.contains(metric), "{name}: {metric}");
            looked_at += 1;
        }
        for variable in words(&text, "TRASTIENDA_", |c| c.is_ascii_uppercase() || c == '_') {
            assert!(variables.contains(&format!("`{variable}`")), "{name}: {variable}");
            looked_at += 1;
        }
        for prefix in ["/v1/", "/admin/v1/"] {
            for path in words(&text, prefix, |c| c.is_ascii_alphanumeric() || "/_-{}".contains(c)) {
                assert!(known(path.trim_end_matches('/')) || name == "README", "{name}: {path}");
                looked_at += 1;
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            assert!(link.starts_with("https://") || directory().join(link).exists(), "{name}: {link}");
        }
    }
    assert!(looked_at > 20, "only {looked_at}");
    Ok(())
}

fn directory() -> PathBuf {
    root().join("docs/runbook")
}

/// Whether a command line is one that the program takes: its subcommands, and its long flags.
fn takes(program: &clap::Command, line: &str) -> Result<(), String> {
    let mut command = program.clone();
    command.build();
    let mut current = &command;
    let mut is_argument = false;
    for word in line.split_whitespace() {
        if let Some(flag) = word.strip_prefix("--") {
            let flag = flag.split('=').next().unwrap_or_default();
            if !current.get_arguments().any(|argument| argument.get_long() == Some(flag)) {
                return Err(format!("{} has no --{flag}", current.get_name()));
            }
            is_argument = true;
        } else if let Some(next) = current.find_subcommand(word) {
            current = next;
        } else if current.has_subcommands() && !is_argument {
            return Err(format!("{} has no command {word}", current.get_name()));
        }
    }
    if current.has_subcommands() { Err(format!("{} is not whole", current.get_name())) } else { Ok(()) }
}

#[test]
fn the_pages_name_only_commands_that_the_programs_take() -> anyhow::Result<()> {
    let programs = [
        ("trastienda-hub ", trastienda_hub::cli::command()),
        ("trastienda-agent ", trastienda_agent::command()),
    ];
    let mut found = 0;
    for (name, text) in pages()? {
        for (program, command) in &programs {
            for (at, _) in text.match_indices(program) {
                // To the end of the code, or of the line, or to a pipe or a comment.
                let line = text[at + program.len()..].split(['`', '\n', '|', '#']).next().unwrap_or_default();
                // `systemctl status trastienda-hub  # …`, `journalctl -u trastienda-hub --since …`: not the program.
                let before = text[..at].rsplit(['`', '\n']).next().unwrap_or_default();
                if before.contains("systemctl") || before.contains("journalctl") {
                    continue;
                }
                found += 1;
                takes(command, line).unwrap_or_else(|why| panic!("{name}: {program}{line}: {why}"));
            }
        }
    }
    assert!(found > 20, "only {found}");
    assert!(takes(&programs[0].1, "logs webhoks --project ID").is_err());
    assert!(takes(&programs[0].1, "logs webhooks --projekt ID").is_err());
    assert!(takes(&programs[1].1, "queue").is_err());
    Ok(())
}
