//! The monitor's self-test under QEMU: what the normal world can reach, and what it finds in registers.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests, which say what they skip")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use veritee_trustzone_machine::flash::Flash;
use veritee_trustzone_machine::{Builder, MachineError};

/// The self-test takes a tenth of a second; a busy host may take long.
const PATIENCE: Duration = Duration::from_secs(60);

fn framework() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.."))
}

fn flash(secure: &[u8]) -> Result<Vec<u8>, MachineError> {
    let target = framework().join("target");
    let builder = Builder { framework: framework(), target: &target, talk: &|_| () };
    let flash = Flash {
        monitor: &builder.monitor()?,
        payload: secure,
        payload_address: 0x0e10_0000,
        device_tree: 0x4a00_0000,
        normal_entry: 0x4400_0000,
    };
    flash.write()
}

fn parts() -> Result<(Vec<u8>, Vec<u8>), MachineError> {
    let target = framework().join("target");
    let builder = Builder { framework: framework(), target: &target, talk: &|_| () };
    let [secure, normal] = ["selftest-secure", "selftest-normal"].map(|name| builder.bare(name));
    Ok((std::fs::read(secure?).unwrap(), std::fs::read(normal?).unwrap()))
}

/// Runs QEMU until the machine switches off; what both worlds said.
fn run(folder: &Path, flash: &[u8], normal: &[u8]) -> (String, String) {
    std::fs::write(folder.join("flash"), flash).unwrap();
    std::fs::write(folder.join("normal"), normal).unwrap();
    let mut qemu: Child = Command::new("qemu-system-aarch64")
        .current_dir(folder)
        .args(["-M", "virt,secure=on,gic-version=3", "-cpu", "cortex-a57", "-m", "512", "-display", "none"])
        .args(["-nodefaults", "-no-reboot", "-monitor", "none", "-bios", "flash"])
        .args(["-serial", "file:console", "-serial", "file:secure"])
        .args(["-device", "loader,file=normal,addr=0x44000000,force-raw=on"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + PATIENCE;
    let ended = loop {
        if qemu.try_wait().unwrap().is_some() {
            break true;
        }
        if Instant::now() > end {
            break false;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if !ended {
        qemu.kill().unwrap();
        qemu.wait().unwrap();
    }
    let said = |name: &str| String::from_utf8_lossy(&std::fs::read(folder.join(name)).unwrap()).into_owned();
    let both = (said("console"), said("secure"));
    assert!(ended, "the machine did not switch off: {both:?}");
    both
}

/// Whether QEMU is here; says so when not.
fn qemu_is_missing(test: &str) -> bool {
    let found = Command::new("qemu-system-aarch64").arg("--version").stdout(Stdio::null()).status();
    let missing = found.is_err();
    if missing {
        eprintln!("skipped: {test} needs qemu-system-aarch64 (apt-get install qemu-system-arm)");
    }
    missing
}

#[test]
fn the_normal_world_reaches_nothing_secure() {
    if qemu_is_missing("the monitor's self-test") {
        return;
    }
    let (secure, normal) = match parts() {
        Ok(parts) => parts,
        Err(MachineError::Missing { what, reason }) => {
            eprintln!("skipped: the monitor's self-test needs {what} ({reason})");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let folder = tempfile::tempdir().unwrap();
    let (console, words) = run(folder.path(), &flash(&secure).unwrap(), &normal);
    println!("{console}");
    assert!(console.ends_with("self-test: 0 failures\n"), "{console}\n{words}");
    assert_eq!(console.lines().filter(|line| line.starts_with("ok ")).count(), 31, "{console}");
}

#[test]
fn a_flash_without_a_sound_manifest_stops_before_anything_starts() {
    if qemu_is_missing("a damaged flash") {
        return;
    }
    let mut flash = match flash(&[0; 16]) {
        Ok(flash) => flash,
        Err(MachineError::Missing { what, reason }) => {
            eprintln!("skipped: a damaged flash needs {what} ({reason})");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    // The payload's length.
    flash[0xf_f010..0xf_f018].copy_from_slice(&u64::MAX.to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    let (console, words) = run(folder.path(), &flash, &[0; 16]);
    assert_eq!(words, "monitor: stopped: the flash image has no sound manifest\n");
    assert_eq!(console, "");
}

#[test]
fn a_payload_that_faults_into_the_monitor_stops_the_machine() {
    if qemu_is_missing("a faulty payload") {
        return;
    }
    // `b .+0` would hang; a call that says "started" without a table of entries is refused.
    let smc = [0xd280_0000_u32, 0xf2b7_c000, 0xd280_0001, 0xd400_0003];
    let secure: Vec<u8> = smc.iter().flat_map(|word| word.to_le_bytes()).collect();
    let flash = match flash(&secure) {
        Ok(flash) => flash,
        Err(MachineError::Missing { what, reason }) => {
            eprintln!("skipped: a faulty payload needs {what} ({reason})");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let folder = tempfile::tempdir().unwrap();
    let (_, words) = run(folder.path(), &flash, &[0; 16]);
    assert!(words.ends_with("monitor: stopped: the secure world does not start 0x0000000000000000\n"), "{words}");
}
