//! The probe as a native module.
#![allow(dead_code, reason = "each test file uses its part")]

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::path::PathBuf;
use std::sync::OnceLock;
use tempfile::TempDir;
use veritee_conformance::Subject;
use veritee_host::{Hosted, LoadRequest, Platform};
use veritee_ids::Op;
use veritee_native_image::NativeBuilder;
use veritee_native_node::NativePlatform;
use veritee_platform::{BuildOrder, Language};

pub(crate) fn platform() -> NativePlatform {
    NativePlatform::new(env!("CARGO_BIN_EXE_veritee-native-runner").into())
}

/// The probe's image, built once into the workspace's target folder.
pub(crate) fn image() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| build("probe", Language::Rust, "testkit/probe"))
}

/// The image of the probe in C.
pub(crate) fn c_image() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| build("probe-in-c", Language::C, "testkit/probe/c"))
}

/// The image of a module that asks for a heap.
pub(crate) fn hoard() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| build("hoard", Language::Rust, "testkit/hoard"))
}

fn build(module: &str, language: Language, source: &str) -> Vec<u8> {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_veritee-native-runner"));
    let target = program.ancestors().nth(2).expect("a target folder").join("test-images");
    let built = NativeBuilder::new(repository.clone()).build(&BuildOrder {
        module,
        language,
        source: &repository.join(source),
        target: &target,
        owner: &veritee_conformance::desk::owner().public(),
        ciphers: veritee_ids::CipherId::ALL,
        talk: &|_| (),
    });
    std::fs::read(built.expect("the module builds").path).expect("the image is there")
}

/// A native module in a folder of its own.
pub(crate) struct Native {
    pub(crate) hosted: Box<dyn Hosted>,
    pub(crate) folder: TempDir,
    call: u64,
}

impl Native {
    pub(crate) fn start(image: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let request = LoadRequest { image, directory: folder.path(), label: "probe", place: &[], provider: false };
        let hosted = platform().load(&request).expect("the probe loads");
        Self { hosted, folder, call: 0 }
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

impl Subject for Native {
    fn enter(&mut self, op: Op, input: &[u8]) -> Vec<u8> {
        self.call += 1;
        self.hosted.push(self.call, op, input).expect("the ring has room");
        self.hosted.flush();
        let (position, call, bytes) = self.output().expect("the instance lives");
        assert_eq!(call, self.call);
        self.hosted.release(position);
        bytes
    }

    fn transcript(&self, evidence: &[u8]) -> Vec<u8> {
        evidence[..evidence.len() - 32].to_vec()
    }

    fn module_key(&self) -> Option<[u8; 16]> {
        None
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        self.hosted.end();
        while self.hosted.death().is_none() {
            let mut waits = [PollFd::from_borrowed_fd(self.hosted.death_fd(), PollFlags::IN)];
            _ = poll(&mut waits, None);
        }
    }
}
