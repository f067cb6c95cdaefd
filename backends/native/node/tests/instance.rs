//! An instance's life: restarts of its daemon, its death, full rings, bad images.

mod support;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use support::{Native, image, platform};
use veritee_conformance::Subject as _;
use veritee_conformance::desk::take_apart;
use veritee_host::{HostError, LoadRequest, Platform as _};
use veritee_ids::{Op, Status};

#[test]
fn outputs_that_were_not_released_are_given_again_to_the_next_daemon() {
    let mut native = Native::start(image());
    for call in 1..=3 {
        native.hosted.push(call, Op::Attest, &[0; 16]).expect("room");
    }
    native.hosted.flush();
    let first = native.output().expect("it lives");
    let second = native.output().expect("it lives");
    native.hosted.release(first.0);
    let adopted = platform().adopt(native.folder.path()).expect("it lives");
    drop(std::mem::replace(&mut native.hosted, adopted));
    let again = native.output().expect("it lives");
    assert_eq!(again, second);
    assert_eq!(native.output().expect("it lives").1, 3);
    native.hosted.push(4, Op::Attest, &[0; 16]).expect("room");
    native.hosted.flush();
    assert_eq!(native.output().expect("it lives").1, 4);
}

#[test]
fn death_is_noticed_and_named() {
    let mut native = Native::start(image());
    assert_eq!(native.hosted.death(), None);
    native.hosted.end();
    let mut waits = [PollFd::from_borrowed_fd(native.hosted.death_fd(), PollFlags::IN)];
    let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
    assert_eq!(poll(&mut waits, Some(&limit)).expect("polling works"), 1);
    assert_eq!(native.hosted.death().expect("it ended").reason, "signal 9 (SIGKILL)");
    let adopted = platform().adopt(native.folder.path());
    assert!(matches!(adopted, Err(HostError::NothingToAdopt { .. })));
}

#[test]
fn a_daemon_that_does_not_release_is_not_overrun() {
    let mut native = Native::start(image());
    // Evidence is small, but each entry waits for a whole output area: the ring fills and the module waits.
    let calls = 60_000;
    let (mut pushed, mut read) = (0, 0);
    while read < calls {
        while pushed < calls && native.hosted.push(pushed, Op::Attest, &[0; 16]).is_ok() {
            pushed += 1;
        }
        native.hosted.flush();
        let mut last = None;
        let given = native.hosted.pull(1000, &mut |output| {
            assert_eq!(output.call, read);
            read += 1;
            last = Some(output.position);
        });
        if given.expect("a sound ring") == 0 && read < calls {
            native.wait();
        }
        if let Some(position) = last {
            native.hosted.release(position);
        }
    }
}

#[test]
fn images_that_are_none_are_refused_with_a_reason() {
    for (bytes, reason) in [(&b"nonsense"[..], "ELF"), (b"", "ELF")] {
        let folder = tempfile::tempdir().expect("a folder");
        let request =
            LoadRequest { image: bytes, directory: folder.path(), label: "none", place: &[], provider: false };
        let Err(error) = platform().load(&request) else { panic!("it loads") };
        assert!(error.to_string().contains(reason), "{error}");
    }
    let mut cut = image().to_vec();
    cut.truncate(cut.len() / 2);
    let folder = tempfile::tempdir().expect("a folder");
    let request = LoadRequest { image: &cut, directory: folder.path(), label: "cut", place: &[], provider: false };
    assert!(matches!(platform().load(&request), Err(HostError::BadImage { .. })));
}

#[test]
fn the_sandbox_leaves_no_files_and_no_network() {
    let native = Native::start(image());
    let pid = std::fs::read_to_string(native.folder.path().join("pid")).expect("a pid");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a field");
        line.split_whitespace().nth(1).expect("a value").to_owned()
    };
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:"), field("Threads:")), ("1".into(), "2".into(), "1".into()));
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count();
    assert_eq!(files, 6, "standard files, two doorbells, the lock");
}

#[test]
fn nonsense_in_the_call_ring_ends_only_the_module() {
    let mut native = Native::start(image());
    assert_eq!(take_apart(&native.enter(Op::Attest, &[0; 16])).result.status, Status::Accepted);
    let mut ring = std::fs::OpenOptions::new().write(true).open(native.folder.path().join("ring")).expect("a ring");
    std::io::Seek::seek(&mut ring, std::io::SeekFrom::Start(64)).expect("seekable");
    std::io::Write::write_all(&mut ring, &[0xff; 8]).expect("writable");
    let _ = native.hosted.push(9, Op::Attest, &[0; 16]);
    native.hosted.flush();
    std::io::Seek::seek(&mut ring, std::io::SeekFrom::Start(192)).expect("seekable");
    std::io::Write::write_all(&mut ring, &[0xff; 8]).expect("writable");
    let pulled = native.hosted.pull(10, &mut |_| ());
    assert!(matches!(pulled, Err(HostError::BrokenChannel { .. })));
}
