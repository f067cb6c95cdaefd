//! A machine from the outside: made, booted, visited, cut off, booted again.
//!
//! It takes minutes and packages of Debian's for arm64: it runs when `VERITEE_TEST_TRUSTZONE` is set, as `cargo xtask test` does where
//! these can be had.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests, which say what they skip and how far they are")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use veritee_ids::{Challenge, Freshness};
use veritee_platform::{
    BoardOrder, BoardRecord, BuildOrder, BuiltImage, Expected, Language, OwnerPlatform, Placement, ProviderPlatform,
    VerifyPolicy,
};
use veritee_trustzone_format::service;
use veritee_trustzone_machine::{Builder, Machine, Order, Packages, Running, key};
use veritee_trustzone_verifier::{TrustzoneOwner, TrustzoneProvider};

/// The suite starts an application a case, under emulation.
const PATIENCE: Duration = Duration::from_secs(300);
const VENDOR: u16 = 2;
/// Bytes of the challenges of an owner: to the first life of the probe, after its reload, after the machine's reboot.
const CHALLENGE: u8 = 5;
const RELOADED: u8 = 6;
const REBOOTED: u8 = 7;

fn framework() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../..")).canonicalize().unwrap()
}

/// Where everything that is built lies, so that the next run builds less.
fn target() -> PathBuf {
    framework().join("target/test-images")
}

/// A node's secure world, from its provider.
struct Made {
    record: BoardRecord,
    secret: String,
    files: Vec<(String, Vec<u8>)>,
}

fn made() -> Made {
    let order =
        BoardOrder { drivers: &[], simulated: true, bare: false, target: &target(), talk: &|line| eprintln!("{line}") };
    let provider = TrustzoneProvider::default();
    let built = provider.make(&order).unwrap();
    let files = provider.node_files(&built).unwrap();
    let secret = built.secret.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    Made { record: built.record, secret, files }
}

impl Made {
    fn file(&self, ending: &str) -> Vec<u8> {
        self.files.iter().find(|(name, _)| name.ends_with(ending)).unwrap().1.clone()
    }

    /// An owner's image at this node, signed, and its key.
    fn image(&self, built: &BuiltImage) -> (Vec<u8>, Vec<u8>) {
        let provider = TrustzoneProvider::default();
        let credential = provider.credential(&self.record, VENDOR).unwrap();
        let placed = TrustzoneOwner::default().place(built, Placement { place: &[], credential: &credential }).unwrap();
        let signed = provider.sign(&self.record, VENDOR, &std::fs::read(&placed.path).unwrap()).unwrap();
        (signed, placed.key.unwrap().expose().to_vec())
    }
}

/// How an owner judges evidence of the probe on a node, who believes that it is another's or of another challenge.
fn judge(evidence: &[u8], node: &Made, vendor: u16, challenge: u8) -> Result<(), String> {
    let credential = TrustzoneProvider::default().credential(&node.record, vendor).unwrap();
    let placement = Placement { place: &[], credential: &credential };
    let owner = TrustzoneOwner::default();
    let placed = owner.place(&probe("probe", Language::Rust, "testkit/probe"), placement).unwrap();
    let expected =
        Expected { measurement: &placed.measurement, key: placed.key.as_ref(), credential: Some(&credential) };
    let policy = VerifyPolicy {
        allow_simulated: vec!["trustzone-simulated".to_owned()],
        freshness: vec![Freshness::SoftwarePrng, Freshness::HardwareRng],
        ..VerifyPolicy::default()
    };
    let judged = owner.verify(evidence, Challenge([challenge; 16]), expected, &policy);
    judged.map(drop).map_err(|error| error.to_string())
}

/// What a new life of the visitor's probe attests under a challenge.
fn evidence(running: &mut Running, challenge: u8) -> Vec<u8> {
    let said = running.visit(&format!("evidence-{challenge}"), PATIENCE).unwrap();
    let hex = said.trim().strip_prefix("ok evidence ").unwrap_or_else(|| panic!("{said}"));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Evidence of the machine is good for its node, its owner and its challenge; for nobody and nothing else.
fn is_judged(evidence: &[u8], node: &Made) {
    let refused = |what: &str, node: &Made, vendor, challenge, claim: &str| {
        let reason = judge(evidence, node, vendor, challenge).unwrap_err();
        assert!(reason.contains(claim), "{what}: {reason}");
        eprintln!("refused, {what}: {reason}");
    };
    judge(evidence, node, VENDOR, CHALLENGE).unwrap();
    refused("a stale challenge", node, VENDOR, CHALLENGE + 1, "challenge");
    refused("another owner's vendor key", node, VENDOR + 1, CHALLENGE, "the proof of the module key");
    refused("another device", &made(), VENDOR, CHALLENGE, "the proof of the module key");
}

/// A later life of the probe is challenged anew: what it attests is good, and what its first life attested is not, neither now nor as
/// what another life would answer to the first challenge.
fn is_outlived(first: &[u8], running: &mut Running, node: &Made, (challenge, when): (u8, &str)) {
    judge(&evidence(running, challenge), node, VENDOR, challenge).unwrap();
    let reason = judge(first, node, VENDOR, challenge).unwrap_err();
    let [old, new] = [CHALLENGE, challenge].map(|byte| format!("{byte:02x}").repeat(16));
    assert!(reason.contains(&format!("challenge is {old}, expected {new}")), "{when}: {reason}");
    eprintln!("refused, evidence of the first life {when}: {reason}");
    assert_ne!(evidence(running, CHALLENGE), first, "one challenge gives every life another answer, {when}");
}

fn probe(module: &str, language: Language, source: &str) -> BuiltImage {
    let built = TrustzoneOwner::default().build(&BuildOrder {
        module,
        language,
        source: &framework().join(source),
        target: &target(),
        owner: &veritee_conformance::desk::owner().public(),
        ciphers: veritee_ids::CipherId::ALL,
        talk: &|line| eprintln!("{line}"),
    });
    built.unwrap()
}

/// What lies beside the visitor in the machine.
fn visitor(made: &Made, builder: &Builder<'_>) -> Vec<(String, Vec<u8>)> {
    let program = std::fs::read(builder.linux("veritee-trustzone-visitor").unwrap()).unwrap();
    let mut files = vec![("visitor".to_owned(), program)];
    let rust = probe("probe", Language::Rust, "testkit/probe");
    for (name, built) in [("probe", &rust), ("probe-in-c", &probe("probe-in-c", Language::C, "testkit/probe/c"))] {
        let (signed, key) = made.image(built);
        files.extend([(format!("{name}.ta"), signed), (format!("{name}.key"), key)]);
    }
    // Another provider's signature over the same module.
    let strange = self::made();
    files.push(("strange.ta".to_owned(), strange.image(&rust).0));
    files
}

fn machine(folder: &Path, made: &Made) -> Machine {
    let talk = |line: &str| eprintln!("{line}");
    let cache = std::env::var_os("VERITEE_TRUSTZONE_CACHE").map_or_else(|| target().join("machine"), PathBuf::from);
    let packages = match std::env::var_os("VERITEE_PACKAGES") {
        Some(folder) => Packages::from_folder(Path::new(&folder), &cache).unwrap(),
        None => Packages::fetch(&cache, &talk).unwrap(),
    };
    let (framework, programs) = (framework(), framework().join("target"));
    let builder = Builder { framework: &framework, target: &programs, talk: &talk };
    let order = Order {
        folder,
        packages: &packages,
        programs: &builder.programs().unwrap(),
        key: Some(&key::modulus_of_pem(&made.file(".pem")).unwrap()),
        applications: &[(format!("{}.ta", service::UUID), made.file(".ta"))],
        node_config: "[log]\nfilter = \"warn\"\n",
        visitor: &visitor(made, &builder),
        disk_mib: 64,
    };
    Machine::make(&order).unwrap()
}

/// Visits, and expects so many lines that say `ok`, and nothing else.
fn visit(running: &mut Running, case: &str, lines: usize) {
    let start = Instant::now();
    let said = running.visit(case, PATIENCE).unwrap();
    eprintln!("── {case}, {:.1} s\n{said}", start.elapsed().as_secs_f64());
    let good = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(said.lines().all(|line| line.starts_with("ok ")), "{case}: {said}; {}", running.last_words());
    assert_eq!(good, lines, "{case}: {said}");
}

#[test]
fn a_machine_hosts_modules_and_refuses_what_it_must() {
    if std::env::var_os("VERITEE_TEST_TRUSTZONE").is_none() {
        eprintln!("skipped: machines with OP-TEE are tested by `cargo xtask test`, or with VERITEE_TEST_TRUSTZONE=1");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (made, name) = (made(), service::UUID.to_string());
    let machine = machine(&folder.path().join("machine"), &made);
    let mut running = machine.start(None).unwrap();
    let fingerprint = running.fingerprint().unwrap();
    running.enrol(&name, &made.secret).unwrap();
    let again = running.enrol(&name, &"ab".repeat(16)).unwrap_err().to_string();
    assert!(again.contains("was done before"), "a second enrolment: {again}");
    visit(&mut running, "refused-images", 4);
    visit(&mut running, "forged-calls", 10);
    visit(&mut running, "secure-memory", 5);
    let first = evidence(&mut running, CHALLENGE);
    is_judged(&first, &made);
    is_outlived(&first, &mut running, &made, (RELOADED, "after the reload"));
    visit(&mut running, "replay-after-reload", 2);
    visit(&mut running, "keep-for-replay", 1);
    visit(&mut running, "timing", 7);
    visit(&mut running, "conform", veritee_conformance::CASES.len());
    visit(&mut running, "conform-in-c", veritee_conformance::CASES.len());
    running.stop().unwrap();

    let mut running = machine.start(None).unwrap();
    assert_eq!(running.fingerprint().unwrap(), fingerprint, "the node is the same after a reboot");
    let again = running.enrol(&name, &made.secret).unwrap_err().to_string();
    assert!(again.contains("was done before"), "the service kept its secret: {again}");
    visit(&mut running, "replay-after-reboot", 2);
    is_outlived(&first, &mut running, &made, (REBOOTED, "after the reboot"));
    running.stop().unwrap();
}
