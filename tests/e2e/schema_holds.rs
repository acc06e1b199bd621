//! What the hub answers is what its published document says. Schemathesis asks whatever the document allows, and much that it
//! does not; `make soak` asks for longer (`SCHEMATHESIS_EXAMPLES`, by operation).

use anyhow::ensure;
use e2e::{Directory, Hub, Simulator, command, root};

/// Cases by operation and kind, when nothing else is said.
const EXAMPLES: &str = "10";
/// No 5xx, and nothing in an answer that the document does not say.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";

#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the hub")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[tokio::test]
async fn every_answer_is_one_that_the_document_knows() -> anyhow::Result<()> {
    let schemathesis = root().join(".schemathesis/bin/schemathesis");
    ensure!(schemathesis.exists(), "schemathesis is not there: run scripts/setup.sh");
    let directory = Directory::new()?;
    let simulator = Simulator::start(&directory).await?;
    let hub = Hub::start_beside(&directory, &simulator).await?;
    let project = hub.create_project("Mates", "mates.example.com").await?;
    hub.lift_limits(&project).await?;
    hub.set_credentials(&project, &simulator).await?;
    let shop = format!("X-API-KEY: {}", project.key);
    let operator = format!("Authorization: Bearer {}", hub.admin_token());
    let examples = setting("SCHEMATHESIS_EXAMPLES").unwrap_or_else(|| EXAMPLES.to_owned());
    let seed = setting("SCHEMATHESIS_SEED").unwrap_or_else(|| "7".to_owned());
    // Each door with its key and without one. An agent's poll waits for as long as it is told to.
    for (paths, header) in [
        ("^/v1/(?!agent/poll)", Some(&shop)),
        ("^/v1/(events|payments|notifications)", None),
        ("^/(admin|metrics|healthz|readyz)", Some(&operator)),
        ("^/webhooks/", None),
    ] {
        let mut asking = command(&schemathesis);
        asking.arg("run").arg(format!("{}/openapi.json", hub.url)).current_dir(directory.path(""));
        asking.args([
            "--include-path-regex",
            paths,
            "--checks",
            CHECKS,
            "--phases",
            "examples,coverage,fuzzing",
        ]);
        asking.args(["--max-examples", &examples, "--seed", &seed, "--continue-on-failure", "--no-color"]);
        asking.args(["--request-timeout", "60", "--suppress-health-check", "all", "--warnings", "off"]);
        if let Some(header) = header {
            asking.args(["--header", header]);
        }
        let output = asking.output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{paths}: {said}{}", String::from_utf8_lossy(&output.stderr));
        // It was no idle run.
        ensure!(said.contains("generated"), "{said}");
    }
    hub.stop().await
}
