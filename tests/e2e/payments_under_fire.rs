//! A sample of what `make soak` does with 10,000 payments.

use std::process::Command;

#[test]
fn nobody_is_charged_twice_and_no_payment_is_lost_whatever_goes_wrong() -> anyhow::Result<()> {
    let mut fire = Command::new(env!("CARGO_BIN_EXE_payments-under-fire"));
    let output = fire.args(["--seed", "20261124", "--payments", "300"]).output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    // It was no idle sample.
    let killed = told.lines().find(|line| line.contains("the hub was killed")).unwrap_or_default();
    assert!(killed.contains("300 payments") && !killed.contains("killed 0 times"), "{told}");
    for end in ["paid -", "paid refunded", "paid partially_refunded", "failed"] {
        assert!(told.contains(end), "none ended as {end}: {told}");
    }
    Ok(())
}
