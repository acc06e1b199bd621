//! A sample of the faults that `make soak` runs by the thousand, by a seed.

use std::process::Command;

#[test]
fn every_id_is_accounted_for_whatever_happens_to_hub_and_database() -> anyhow::Result<()> {
    let mut faults = Command::new(env!("CARGO_BIN_EXE_faults"));
    let output = faults.args(["--seed", "20261124", "--deliveries", "600"]).output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    // Each kind of misfortune happened.
    for what in ["KillHub", "KillDatabase", "Terminate", "Cut", "Away", "Freeze"] {
        assert!(told.contains(what), "{what} did not happen: {told}");
    }
    Ok(())
}
