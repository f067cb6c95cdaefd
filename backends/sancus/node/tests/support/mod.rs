//! A platform over a fake board, and what tests ask of it.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::{Duration, Instant};
use veritee_fakeboard::FakeBoard;
use veritee_host::{HostError, Hosted, LoadRequest, OutputReader, OutputRecord, Platform, ReserveRequest};
use veritee_ids::Op;
use veritee_sancus_format::{BuiltIn, Image, ModuleImage, Need, Placed};
use veritee_sancus_node::{BoardConfig, Patience, SancusPlatform};

/// For a fake board on a fast machine: everything happens soon, or never.
pub const IMPATIENT: Patience = Patience {
    enquiry: Duration::from_millis(30),
    acknowledge: Duration::from_millis(900),
    silence: Duration::from_millis(150),
    response: Duration::from_millis(600),
    gap: Duration::from_millis(10),
    keepalive: Duration::from_millis(50),
    retry: Duration::from_millis(20),
    claims: Duration::from_secs(60),
    up: Duration::from_secs(5),
};

pub fn platform(boards: &[(&str, &FakeBoard)]) -> SancusPlatform {
    patient(boards, IMPATIENT)
}

pub fn patient(boards: &[(&str, &FakeBoard)], patience: Patience) -> SancusPlatform {
    let config = |(name, board): &(&str, &FakeBoard)| BoardConfig {
        name: (*name).to_owned(),
        port: board.port(),
        baud: 115_200,
        drivers: vec!["button".to_owned()],
    };
    SancusPlatform::with_patience(boards.iter().map(config).collect(), patience)
}

/// A module with its folder.
pub struct Module {
    pub folder: tempfile::TempDir,
    pub hosted: Box<dyn Hosted>,
    pub place: Vec<u8>,
}

pub fn need(text_bytes: u16, secret_bytes: u16) -> Vec<u8> {
    Need { text_bytes, secret_bytes }.encode()
}

pub fn reserve(platform: &SancusPlatform, need: &[u8], taken: &[&[u8]]) -> Result<Vec<u8>, HostError> {
    platform.reserve(&ReserveRequest { board: "", need, taken })
}

/// An image for a place, whose text repeats a byte.
pub fn image(place: &[u8], fill: u8, room: u16) -> Vec<u8> {
    let placed = Placed::decode(place).unwrap();
    Image::Module(ModuleImage {
        vendor: 77,
        text_address: placed.text_address,
        text: vec![fill; usize::from(placed.text_bytes)],
        secret_address: placed.secret_address,
        secret_bytes: placed.secret_bytes,
        room,
        poll: 0,
    })
    .encode()
}

pub fn load(platform: &SancusPlatform, place: Vec<u8>, room: u16) -> Result<Module, HostError> {
    let folder = tempfile::tempdir().unwrap();
    let image = image(&place, 0x33, room);
    let request =
        LoadRequest { image: &image, directory: folder.path(), label: "echo", place: &place, provider: false };
    let hosted = platform.load(&request)?;
    Ok(Module { folder, hosted, place })
}

/// Reserves and loads an echo.
pub fn echo(platform: &SancusPlatform, taken: &[&[u8]]) -> Module {
    let place = reserve(platform, &need(1500, 64), taken).unwrap();
    load(platform, place, 400).unwrap()
}

pub fn driver(platform: &SancusPlatform, name: &str, provider: bool) -> Result<Module, HostError> {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::BuiltIn(BuiltIn { board: "kitchen".to_owned(), driver: name.to_owned() }).encode();
    let request = LoadRequest { image: &image, directory: folder.path(), label: name, place: &[], provider };
    let hosted = platform.load(&request)?;
    Ok(Module { folder, hosted, place: Vec::new() })
}

/// An output: call, position, replies and frames in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    pub call: u64,
    pub position: u64,
    pub reply: Vec<u8>,
    pub frames: Vec<Vec<u8>>,
    pub status: veritee_ids::Status,
}

impl Module {
    pub fn push(&mut self, call: u64, input: &[u8]) -> bool {
        self.hosted.push(call, Op::Control, input).is_ok()
    }

    /// Pulls until there are so many outputs, or the patience is over.
    pub fn pull(&mut self, count: usize) -> Vec<Seen> {
        let mut seen = Vec::new();
        until(|| {
            let wanted = count - seen.len();
            self.hosted
                .pull(wanted, &mut |output| seen.push(read(output.call, output.position, output.bytes)))
                .unwrap();
            seen.len() == count
        });
        seen
    }

    pub fn death(&mut self) -> String {
        until(|| is_readable(&*self.hosted));
        self.hosted.death().unwrap().reason
    }
}

fn is_readable(hosted: &dyn Hosted) -> bool {
    let fd = hosted.death_fd();
    let mut waits = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut waits, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
}

fn read(call: u64, position: u64, bytes: &[u8]) -> Seen {
    let mut seen =
        Seen { call, position, reply: Vec::new(), frames: Vec::new(), status: veritee_ids::Status::Malformed };
    for record in OutputReader::new(bytes) {
        match record.unwrap() {
            OutputRecord::Result(result) => seen.status = result.status,
            OutputRecord::Reply(reply) => seen.reply = reply.to_vec(),
            OutputRecord::Frame(frame) => seen.frames.push(frame.to_vec()),
        }
    }
    seen
}

/// Waits until something is so.
pub fn until(mut so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < end, "it never happened");
        std::thread::sleep(Duration::from_millis(2));
    }
}
