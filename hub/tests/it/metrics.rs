//! What `/metrics` can show is what the documentation says.

use std::collections::BTreeSet;
use std::path::Path;

/// The names that the code counts by: what stands right after one of the macros.
fn counted(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            counted(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            for macro_name in ["counter!(", "gauge!(", "histogram!("] {
                for after in source.split(macro_name).skip(1) {
                    let name = after.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                    names.extend(name.filter(|name| name.starts_with("trastienda_")).map(str::to_owned));
                }
            }
        }
    }
}

/// How the agent's metrics begin, which a test of its own holds equal to the same page.
const OF_AGENTS: &str = "trastienda_agent_";

/// Every name of ours in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("trastienda_")).map(str::to_owned).collect()
}

fn documented() -> BTreeSet<String> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    named(&std::fs::read_to_string(root.join("docs/metrics.md")).unwrap())
}

#[test]
fn the_documented_metrics_are_those_that_the_code_counts() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut code = BTreeSet::new();
    counted(&root.join("hub/src"), &mut code);
    assert!(
        code.len() > 30,
        "only {} names were found: is the way that they are written another?",
        code.len()
    );
    let documented: BTreeSet<_> =
        documented().into_iter().filter(|name| !name.starts_with(OF_AGENTS)).collect();
    assert_eq!(code, documented, "left: counted, right: in docs/metrics.md");
}

#[test]
fn rules_and_boards_speak_of_metrics_that_there_are() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut code = BTreeSet::new();
    counted(&root.join("hub/src"), &mut code);
    code.extend(documented().into_iter().filter(|name| name.starts_with(OF_AGENTS)));
    for file in ["deploy/prometheus/alerts.yml", "deploy/grafana/trastienda.json"] {
        let used = named(&std::fs::read_to_string(root.join(file)).unwrap());
        assert!(used.len() > 5, "{file} uses only {used:?}");
        for name in used {
            let base = name.trim_end_matches("_bucket").trim_end_matches("_count").trim_end_matches("_sum");
            assert!(code.contains(base), "{file} asks for {name}, which nothing counts");
        }
    }
}
