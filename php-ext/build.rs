//! Lets the unit tests link: what they leave to PHP stays unresolved, as it does in the extension,
//! and none of them calls it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if cfg!(target_os = "linux") {
        println!("cargo::rustc-link-arg=-Wl,--unresolved-symbols=ignore-all");
    }
}
