//! The probe as a trusted application, hosted as the node hosts it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tempfile::TempDir;
use veritee_conformance::Subject;
use veritee_host::{HostError, Hosted, LoadRequest, Platform};
use veritee_ids::Op;
use veritee_trustzone_node::TrustzonePlatform;

/// Where the visitor and its files lie.
const FOLDER: &str = "/machine/visitor";
/// The node's program, which is the runner too.
const NODE: &str = "/veritee-node";
const TAG_BYTES: usize = 16;

/// A file beside the visitor.
pub(crate) fn file(name: &str) -> Vec<u8> {
    let path = Path::new(FOLDER).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// A signed image with the key that its owner derives for it.
pub(crate) struct Image {
    pub(crate) signed: Vec<u8>,
    pub(crate) key: [u8; 16],
}

impl Image {
    pub(crate) fn read(name: &str) -> Self {
        let key = file(&format!("{name}.key"));
        Self { signed: file(&format!("{name}.ta")), key: key.try_into().expect("a key has 16 bytes") }
    }
}

/// A living instance.
pub(crate) struct Instance {
    hosted: Box<dyn Hosted>,
    key: [u8; 16],
    call: u64,
    _folder: TempDir,
}

/// Loads an image as the node does.
fn load(image: &[u8]) -> Result<(Box<dyn Hosted>, TempDir), HostError> {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let platform = TrustzonePlatform::new(PathBuf::from(NODE));
    let request = LoadRequest { image, directory: folder.path(), label: "probe", place: &[], provider: false };
    Ok((platform.load(&request)?, folder))
}

/// Why an image is not loaded.
pub(crate) fn refusal(image: &[u8]) -> String {
    match load(image) {
        Err(error) => error.to_string(),
        Ok((mut hosted, _folder)) => {
            hosted.end();
            panic!("the image was loaded")
        }
    }
}

impl Instance {
    pub(crate) fn start(image: &Image) -> Self {
        let (hosted, folder) = load(&image.signed).expect("the image loads");
        Self { hosted, key: image.key, call: 0, _folder: folder }
    }

    /// Enters many times in one go, and waits for all outputs.
    pub(crate) fn enter_many(&mut self, op: Op, inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
        for input in inputs {
            self.call += 1;
            self.hosted.push(self.call, op, input).expect("the ring has room");
        }
        self.hosted.flush();
        inputs.iter().map(|_| self.output()).collect()
    }

    fn wait(&self) {
        let mut waits = [
            PollFd::from_borrowed_fd(self.hosted.wake_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.hosted.death_fd(), PollFlags::IN),
        ];
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        assert!(poll(&mut waits, Some(&limit)).expect("polling works") > 0, "nothing happens");
    }

    /// The next output.
    fn output(&mut self) -> Vec<u8> {
        loop {
            let mut output = None;
            self.hosted
                .pull(1, &mut |found| output = Some((found.position, found.bytes.to_vec())))
                .expect("a sound ring");
            if let Some((position, bytes)) = output {
                self.hosted.release(position);
                return bytes;
            }
            assert!(self.hosted.death().is_none(), "the instance died: {:?}", self.hosted.death());
            self.wait();
        }
    }
}

impl Subject for Instance {
    fn enter(&mut self, op: Op, input: &[u8]) -> Vec<u8> {
        self.call += 1;
        self.hosted.push(self.call, op, input).expect("the ring has room");
        self.hosted.flush();
        self.output()
    }

    fn transcript(&self, evidence: &[u8]) -> Vec<u8> {
        evidence[..evidence.len() - TAG_BYTES].to_vec()
    }

    fn module_key(&self) -> Option<[u8; 16]> {
        Some(self.key)
    }
}

/// An instance that two hold: the desk that talks to it, and who measures it.
pub(crate) struct Held(pub(crate) Rc<RefCell<Instance>>);

impl Subject for Held {
    fn enter(&mut self, op: Op, input: &[u8]) -> Vec<u8> {
        self.0.borrow_mut().enter(op, input)
    }

    fn transcript(&self, evidence: &[u8]) -> Vec<u8> {
        self.0.borrow().transcript(evidence)
    }

    fn module_key(&self) -> Option<[u8; 16]> {
        self.0.borrow().module_key()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.hosted.end();
        while self.hosted.death().is_none() {
            let mut waits = [PollFd::from_borrowed_fd(self.hosted.death_fd(), PollFlags::IN)];
            _ = poll(&mut waits, None);
        }
    }
}
