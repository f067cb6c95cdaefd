//! What SGX needs: in software, and on hardware layer by layer, each with what provides it.

use super::{Finding, runs};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::net::UnixStream;
use std::path::Path;

const DEVICE: &str = "/dev/sgx_enclave";
/// The driver's names before it came into the kernel.
const OLD_DEVICES: [&str; 2] = ["/dev/sgx/enclave", "/dev/isgx"];
const AESM: &str = "/var/run/aesmd/aesm.socket";
/// The vDSO's function that enters enclaves.
const ENTER: &[u8] = b"\0__vdso_sgx_enter_enclave\0";
/// Longest vDSO that is looked at.
const VDSO_BYTES_MAX: u64 = 1 << 16;
/// What images of SGX execute, and what a runner enters them with.
const NEEDED: [&str; 6] = ["avx", "aes", "pclmulqdq", "sha_ni", "rdrand", "fsgsbase"];

/// Everything about SGX. `node` is the node's program.
pub(super) fn findings(node: &str) -> Vec<Finding> {
    let flags = flags();
    vec![
        Finding::judged("SGX", anywhere(&flags)),
        Finding::judged("SGX processor", processor(&flags)),
        Finding::judged("SGX driver", driver(Path::new(DEVICE))),
        Finding::judged("SGX entry", entry()),
        Finding::judged("SGX quotes", quotes(Path::new(AESM))),
        Finding::judged("SGX in veritee-node", built(node)),
    ]
}

/// Flags of the first processor, as the kernel lists them.
fn flags() -> Vec<String> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

fn has(flags: &[String], flag: &str) -> bool {
    flags.iter().any(|known| known == flag)
}

/// Whether images of SGX run here at all.
fn anywhere(flags: &[String]) -> Result<String, String> {
    let missing: Vec<&str> = NEEDED.into_iter().filter(|flag| !has(flags, flag)).collect();
    if !missing.is_empty() {
        return Err(format!("this processor lacks {}, which images of SGX need, in software too", missing.join(", ")));
    }
    Ok(if Path::new(DEVICE).exists() {
        "images can run; the node's program decides how, see below".to_owned()
    } else {
        "in software only (no SGX device)".to_owned()
    })
}

/// What the processor says of itself, and what the kernel made of it.
fn processor(flags: &[String]) -> Result<String, String> {
    let (sgx, launch) = cpuid().unwrap_or((has(flags, "sgx"), has(flags, "sgx_lc")));
    match (sgx, launch, has(flags, "sgx")) {
        (false, ..) => {
            Err("the processor has no SGX (CPUID leaf 7), or its firmware or hypervisor hides it: look for SGX in \
                            the firmware's settings; enclaves run in software meanwhile"
                .to_owned())
        }
        (true, false, _) => {
            Err("the processor's SGX has no flexible launch control, or the firmware locks it; the kernel's \
                                 driver needs it: set launch control to unlocked in the firmware's settings"
                .to_owned())
        }
        (true, true, false) => {
            Err("the processor has SGX, and the kernel does not use it: enable SGX in the firmware's \
                                    settings, and use a kernel of 5.11 or later with CONFIG_X86_SGX (Debian 12 has it)"
                .to_owned())
        }
        (true, true, true) => Ok("SGX with flexible launch control".to_owned()),
    }
}

/// SGX, and its flexible launch control, as CPUID tells.
#[cfg(target_arch = "x86_64")]
fn cpuid() -> Option<(bool, bool)> {
    use std::arch::x86_64::__cpuid_count;
    let leaf = (__cpuid_count(0, 0).eax >= 0x12).then(|| __cpuid_count(7, 0))?;
    // The leaf of SGX itself lists no enclaves where the firmware has it off.
    let sgx = leaf.ebx & 1 << 2 != 0 && __cpuid_count(0x12, 0).eax & 1 != 0;
    Some((sgx, leaf.ecx & 1 << 30 != 0))
}

#[cfg(not(target_arch = "x86_64"))]
const fn cpuid() -> Option<(bool, bool)> {
    None
}

/// The kernel's driver, and whether this user may use it.
fn driver(device: &Path) -> Result<String, String> {
    let shown = device.display();
    match File::options().read(true).write(true).open(device) {
        Ok(_) if devices_forbid_code() => {
            Err(format!("{shown} is there, but /dev is mounted `noexec`: mount -o remount,exec /dev"))
        }
        Ok(_) => Ok(format!("{shown} can be opened")),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(format!(
            "{shown} is there, but you may not open it: usermod --append --groups sgx USER for who runs the node (the group is \
             the one that `ls -l {shown}` shows), then log in again"
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let old = OLD_DEVICES.into_iter().find(|old| Path::new(old).exists());
            Err(old.map_or_else(
                || format!("no {shown}: it needs a kernel of 5.11 or later with CONFIG_X86_SGX, and SGX enabled in the firmware"),
                |old| format!("{old} belongs to a driver from before Linux 5.11, which is not used: update the kernel"),
            ))
        }
        Err(error) => Err(format!("{shown} cannot be opened: {error}")),
    }
}

/// Whether nothing below /dev can be mapped as code.
fn devices_forbid_code() -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    // The last mount of a place is the one that is seen.
    let devices = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some("/dev"));
    let options = devices.and_then(|line| line.split(' ').nth(3)).unwrap_or_default();
    options.split(',').any(|option| option == "noexec")
}

/// The vDSO's function that enters enclaves: every process has it where the kernel was built with SGX.
fn entry() -> Result<String, String> {
    let vdso = vdso().ok_or("the kernel's vDSO cannot be read")?;
    if vdso.windows(ENTER.len()).any(|name| name == ENTER) {
        Ok("the kernel's vDSO has __vdso_sgx_enter_enclave".to_owned())
    } else {
        Err("the kernel's vDSO has no __vdso_sgx_enter_enclave: use a kernel of 5.11 or later with CONFIG_X86_SGX"
            .to_owned())
    }
}

/// The bytes of this process's vDSO.
fn vdso() -> Option<Vec<u8>> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let range = maps.lines().find(|line| line.ends_with("[vdso]"))?.split(' ').next()?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    let mut memory = File::open("/proc/self/mem").ok()?;
    memory.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = vec![0; usize::try_from((end - start).min(VDSO_BYTES_MAX)).ok()?];
    memory.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// The service that makes quotes on hardware.
fn quotes(socket: &Path) -> Result<String, String> {
    let shown = socket.display();
    match UnixStream::connect(socket) {
        Ok(_) => Ok(format!("AESM listens at {shown}")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(format!(
            "no {shown}: hardware needs Intel's AESM with its quoting plug-in for evidence (apt install sgx-aesm-service \
             libsgx-aesm-quote-ex-plugin, from Intel's repository), and a certification service (PCCS)"
        )),
        Err(error) => Err(format!("AESM does not answer at {shown} ({error}): systemctl start aesmd")),
    }
}

/// How the node's program would run enclaves.
fn built(node: &str) -> Result<String, String> {
    let said = std::process::Command::new(node).args(["platforms", "--json"]).output().ok();
    let said = said.and_then(|said| serde_json::from_slice::<serde_json::Value>(&said.stdout).ok());
    match said.as_ref().and_then(|said| said.get("sgx")?.as_str()) {
        Some(how) if how.contains("without the feature") && Path::new(DEVICE).exists() => Err(format!(
            "it would run enclaves {how}: cargo build --release --package veritee-node --features sgx-hardware"
        )),
        Some(how) => Ok(how.to_owned()),
        None if runs(node, "--version").is_some() => Err("it is too old to say so; build it anew".to_owned()),
        None => Err("there is no veritee-node to ask".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_what_provides_it() {
        let flags = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let advice = anywhere(&flags("avx aes rdrand fsgsbase pclmulqdq")).expect_err("one is missing");
        assert!(advice.contains("sha_ni") && !advice.contains("avx"), "{advice}");
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("sgx_enclave");
        assert!(driver(&missing).expect_err("nothing is there").contains("CONFIG_X86_SGX"));
        assert!(quotes(&folder.path().join("aesm.socket")).expect_err("nobody listens").contains("sgx-aesm-service"));
        fs::write(&missing, "").expect("a file");
        assert!(driver(&missing).is_ok_and(|found| found.contains("can be opened")) || devices_forbid_code());
        assert!(built("/nonexistent/veritee-node").is_err());
    }

    #[test]
    fn a_silent_service_is_told_from_a_missing_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("aesm.socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        assert!(quotes(&path).is_ok());
        drop(listener);
        assert!(quotes(&path).expect_err("nobody listens any more").contains("systemctl"));
    }

    #[test]
    fn this_process_has_a_vdso() {
        let vdso = vdso().expect("Linux gives every process one");
        assert_eq!(vdso.get(..4), Some(&b"\x7fELF"[..]));
        let clock = b"clock_gettime\0";
        assert!(vdso.windows(clock.len()).any(|name| name == clock));
    }
}
