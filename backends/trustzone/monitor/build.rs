//! Link arguments of the images: flat binaries at fixed addresses. Only for the target without operating system.

fn main() {
    println!("cargo::rerun-if-changed=link");
    let target = std::env::var("TARGET").unwrap_or_default();
    if target != "aarch64-unknown-none-softfloat" {
        return;
    }
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for (program, script) in [("monitor", "monitor"), ("selftest-normal", "normal"), ("selftest-secure", "secure")] {
        println!("cargo::rustc-link-arg-bin={program}=-T{folder}/link/{script}.ld");
        println!("cargo::rustc-link-arg-bin={program}=--oformat=binary");
        println!("cargo::rustc-link-arg-bin={program}=--no-pie");
    }
}
