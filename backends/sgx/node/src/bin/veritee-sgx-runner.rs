//! A runner by itself: what `veritee-node runner sgx …` is, for tests of this platform alone.

use std::process::ExitCode;
use veritee_host::Platform as _;
use veritee_sgx_node::SgxPlatform;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(3).collect();
    SgxPlatform::new("veritee-sgx-runner".into()).runner(&arguments)
}
