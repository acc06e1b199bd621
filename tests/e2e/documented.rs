//! The tests that the documentation names exist.

use std::collections::BTreeSet;
use std::path::Path;

use e2e::root;

/// All Rust source below a directory.
fn sources(directory: &Path, all: &mut String) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, all)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&std::fs::read_to_string(path)?);
        }
    }
    Ok(())
}

/// The pages that name tests.
const PAGES: [&str; 7] = [
    "backup.md",
    "definition-of-done.md",
    "mail-proof.md",
    "payments-proof.md",
    "reliability.md",
    "several-hubs.md",
    "webhooks-proof.md",
];

#[test]
fn every_test_that_a_page_names_exists() -> anyhow::Result<()> {
    let mut code = String::new();
    for directory in ["agent", "hub", "protocol", "tests", "simulators"] {
        sources(&root().join(directory), &mut code)?;
    }
    let mut named = BTreeSet::new();
    let pages = PAGES.iter().map(|page| root().join("docs").join(page)).chain([root().join("SECURITY.md")]);
    for page in pages {
        let text = std::fs::read_to_string(page)?;
        // Every other piece between backticks is code; a test's path has `::` in it.
        named
            .extend(text.split('`').skip(1).step_by(2).filter(|code| code.contains("::")).map(str::to_owned));
    }
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<_> = named
        .iter()
        .filter(|path| {
            // `module::…` means all of a module's.
            let (module, name) = path.rsplit_once("::").unwrap_or_default();
            let last = module.rsplit("::").next().unwrap_or_default();
            let exists =
                |name: &str| code.contains(&format!("fn {name}(")) || code.contains(&format!("mod {name};"));
            !exists(if name == "…" { last } else { name })
        })
        .collect();
    assert!(missing.is_empty(), "named in docs/ or SECURITY.md and not there: {missing:?}");
    Ok(())
}
