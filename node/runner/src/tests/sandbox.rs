//! The wall behind the wall: Landlock alone, before the filter of system calls hides it.

use crate::sandbox::{landlock, leave_namespaces};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Confines a thread of its own: Landlock holds for the thread that asks for it, and this one ends.
fn confined<T: Send + 'static>(attempt: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::spawn(|| {
        rustix::thread::set_no_new_privs(true).expect("always allowed");
        landlock().expect("this kernel has Landlock");
        attempt()
    });
    thread.join().expect("the attempt does not panic")
}

fn denied<T>(result: &std::io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[test]
fn landlock_alone_hides_files() {
    let folder = tempfile::tempdir().unwrap();
    let (path, new) = (folder.path().join("file"), folder.path().join("new"));
    fs::write(&path, "text").unwrap();
    let (seen, made) = (path.clone(), new.clone());
    let results = confined(move || {
        let list = fs::read_dir(seen.parent().unwrap()).map(|_| ());
        let run = std::process::Command::new("/bin/true").status().map(|_| ());
        [File::open(&seen).map(|_| ()), File::create(made).map(|_| ()), fs::remove_file(seen), list, run]
    });
    for (what, result) in ["open", "create", "remove", "list", "run"].iter().zip(&results) {
        assert!(denied(result), "{what}: {result:?}");
    }
    assert_eq!(fs::read_to_string(path).unwrap(), "text", "others are not confined");
    assert!(!new.exists());
}

#[test]
fn namespaces_are_left_where_that_is_permitted() {
    let seen =
        || ["net", "mnt", "ipc", "uts"].map(|name| fs::read_link(format!("/proc/thread-self/ns/{name}")).unwrap());
    let thread = thread::spawn(move || {
        let before = seen();
        leave_namespaces();
        (before, seen())
    });
    let (before, after) = thread.join().expect("a refusal is no error");
    assert_eq!(seen(), before, "others stay");
    // All of them or none: as root there is no excuse.
    let left = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    assert!(left == 4 || (left == 0 && !may_unshare()), "{before:?} {after:?}");
}

/// Whether this process has the right to namespaces of its own: CAP_SYS_ADMIN, bit 21.
fn may_unshare() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(effective.trim(), 16).unwrap() >> 21 & 1 == 1
}

#[test]
fn landlock_alone_keeps_from_the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, bound) =
        confined(move || (TcpStream::connect(address).map(|_| ()), TcpListener::bind("127.0.0.1:0").map(|_| ())));
    assert!(denied(&connected), "{connected:?}");
    assert!(denied(&bound), "{bound:?}");
    TcpStream::connect(address).expect("others are not confined");
}
