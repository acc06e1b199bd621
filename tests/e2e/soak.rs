//! A sample of `make soak`, by a seed.

use std::process::Command;

#[test]
fn a_sample_of_misfortune_breaks_no_promise() -> anyhow::Result<()> {
    let mut soak = Command::new(env!("CARGO_BIN_EXE_soak"));
    let output = soak.args(["--seed", "20261124", "--seconds", "20", "--mails", "0"]).output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    // It was no idle sample.
    for what in ["KillHub", "KillAgent", "Payment", "Mails", "Burst"] {
        assert!(told.contains(what), "{what} did not happen: {told}");
    }
    Ok(())
}
