//! The documented way to install the extension.

use std::process::Command;

use e2e::{Directory, extension, root};

#[test]
fn the_installed_extension_is_found_by_php_through_its_own_settings() -> anyhow::Result<()> {
    let directory = Directory::new()?;
    let destination = directory.path("destination");
    let mut install = Command::new(root().join("php-ext/install.sh"));
    let output = install.arg(extension()?).env("DESTDIR", &destination).output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.trim_end().ends_with(&format!("trastienda {}", env!("CARGO_PKG_VERSION"))), "{told}");

    let config = |option: &str| -> anyhow::Result<String> {
        let output = Command::new("php-config").arg(option).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let version = config("--version")?;
    let mut numbers = version.split('.');
    let version = [numbers.next().unwrap(), numbers.next().unwrap()].join(".");
    let settings = destination.join(format!("etc/php/{version}/mods-available"));
    let libraries = destination.join(config("--extension-dir")?.trim_start_matches('/'));
    let mut php = Command::new("php");
    php.env("PHP_INI_SCAN_DIR", settings).arg("-c").arg("/dev/null");
    let output = php
        .arg("-d")
        .arg(format!("extension_dir={}", libraries.display()))
        .args(["--ri", "trastienda"])
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("Trastienda => enabled") && told.contains("trastienda.socket"), "{told}");
    Ok(())
}
