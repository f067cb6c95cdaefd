//! The probe as an SGX enclave, attested by the simulated platform.
#![allow(dead_code, reason = "each test file uses its part")]

use crate::images::target;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use veritee_conformance::Subject;
use veritee_host::{HostError, Hosted, LoadRequest, Platform};
use veritee_ids::{Challenge, Op};
use veritee_platform::{Expected, OwnerPlatform as _, SessionStart, VerifyPolicy};
use veritee_sgx_format::SgxImage;
use veritee_sgx_node::SgxPlatform;
use veritee_sgx_verifier::{SIMULATED, SgxOwner};
use veritee_wire::Layout as _;
use veritee_wire::layout::Transcript;

pub(crate) fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_veritee-sgx-runner").into()
}

/// All instances of a test run share one simulated platform.
pub(crate) fn platform() -> SgxPlatform {
    let platform = SgxPlatform::new(program()).in_software().with_platform(target().join("sgx-platform"));
    platform.patience(Duration::from_millis(700))
}

/// An enclave in a folder of its own.
pub(crate) struct Enclave {
    pub(crate) hosted: Box<dyn Hosted>,
    pub(crate) folder: TempDir,
    measurement: Option<[u8; 32]>,
    call: u64,
}

impl Enclave {
    pub(crate) fn start(image: &[u8]) -> Self {
        Self::try_start(image).expect("the probe loads")
    }

    pub(crate) fn try_start(image: &[u8]) -> Result<Self, HostError> {
        let folder = tempfile::tempdir().expect("a folder");
        let request = LoadRequest { image, directory: folder.path(), label: "probe", place: &[], provider: false };
        let hosted = platform().load(&request)?;
        let measurement = SgxImage::read(image).ok().map(|image| image.measurement);
        Ok(Self { hosted, folder, measurement, call: 0 })
    }

    /// Waits until there is something to read, or the instance ended.
    pub(crate) fn wait(&self) {
        let mut waits = [
            PollFd::from_borrowed_fd(self.hosted.wake_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.hosted.death_fd(), PollFlags::IN),
        ];
        let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
        assert!(poll(&mut waits, Some(&limit)).expect("polling works") > 0, "nothing happens");
    }

    /// The next output; `None` when the instance ended.
    pub(crate) fn output(&mut self) -> Option<(u64, u64, Vec<u8>)> {
        loop {
            let mut output = None;
            self.hosted
                .pull(1, &mut |found| output = Some((found.position, found.call, found.bytes.to_vec())))
                .expect("a sound ring");
            if output.is_some() {
                return output;
            }
            if self.hosted.death().is_some() {
                return None;
            }
            self.wait();
        }
    }
}

impl Subject for Enclave {
    fn enter(&mut self, op: Op, input: &[u8]) -> Vec<u8> {
        self.call += 1;
        self.hosted.push(self.call, op, input).expect("the ring has room");
        self.hosted.flush();
        let (position, call, bytes) = self.output().unwrap_or_else(|| panic!("{:?}", self.hosted.death()));
        assert_eq!(call, self.call);
        self.hosted.release(position);
        bytes
    }

    /// Through the owner's verifier, under the challenge that the transcript states.
    fn transcript(&self, evidence: &[u8]) -> Vec<u8> {
        let (statement, _) = Transcript::decode_front(evidence).expect("a transcript");
        let policy = VerifyPolicy {
            allow_simulated: vec![SIMULATED.to_owned()],
            freshness: Vec::new(),
            ..VerifyPolicy::default()
        };
        let challenge = Challenge(statement.challenge.0);
        let measurement = self.measurement.as_ref().expect("it loaded");
        let expected = Expected { measurement, key: None, credential: None };
        let verified = SgxOwner::default().verify(evidence, challenge, expected, &policy);
        let verified = verified.unwrap_or_else(|error| panic!("{error}"));
        let SessionStart::Agreement { transcript } = verified.start else { panic!("SGX agrees on sessions") };
        transcript
    }

    fn module_key(&self) -> Option<[u8; 16]> {
        None
    }

    fn seals(&self) -> bool {
        true
    }
}

impl Drop for Enclave {
    fn drop(&mut self) {
        self.hosted.end();
        while self.hosted.death().is_none() {
            let mut waits = [PollFd::from_borrowed_fd(self.hosted.death_fd(), PollFlags::IN)];
            _ = poll(&mut waits, None);
        }
    }
}
