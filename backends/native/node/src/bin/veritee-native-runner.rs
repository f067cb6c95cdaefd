//! A runner by itself: what `veritee-node runner native …` is, for tests of this platform alone.

use std::process::ExitCode;
use veritee_host::Platform as _;
use veritee_native_node::NativePlatform;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(3).collect();
    NativePlatform::new("veritee-native-runner".into()).runner(&arguments)
}
