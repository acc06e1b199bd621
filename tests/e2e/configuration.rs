//! `.env.example` and `docs/operations.md` know every variable of the programs, and no other.

use std::collections::BTreeSet;

fn variables(command: &clap::Command, into: &mut BTreeSet<String>) {
    for argument in command.get_arguments() {
        if let Some(variable) = argument.get_env() {
            into.insert(variable.to_string_lossy().into_owned());
        }
    }
    for subcommand in command.get_subcommands() {
        variables(subcommand, into);
    }
}

fn of_the_programs() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    variables(&trastienda_hub::cli::command(), &mut found);
    variables(&trastienda_agent::command(), &mut found);
    found
}

#[test]
fn env_example_lists_exactly_the_programs_variables() -> anyhow::Result<()> {
    let text = std::fs::read_to_string(e2e::root().join(".env.example"))?;
    let names = text.lines().filter_map(|line| line.trim_start_matches("# ").split_once('='));
    let listed: BTreeSet<String> =
        names.map(|(name, _)| name.to_owned()).filter(|name| is_variable(name)).collect();
    assert_eq!(listed, of_the_programs());
    Ok(())
}

#[test]
fn the_operations_page_explains_every_variable() -> anyhow::Result<()> {
    let text = std::fs::read_to_string(e2e::root().join("docs/operations.md"))?;
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let explained: BTreeSet<String> =
        rows.map(|(name, _)| name.to_owned()).filter(|name| is_variable(name)).collect();
    assert_eq!(explained, of_the_programs());
    Ok(())
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && name.contains('_')
}
