//! The wall behind the wall: Landlock alone, before the filter of system calls hides it.

use crate::sandbox::landlock;
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
fn landlock_alone_keeps_from_the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, bound) =
        confined(move || (TcpStream::connect(address).map(|_| ()), TcpListener::bind("127.0.0.1:0").map(|_| ())));
    assert!(denied(&connected), "{connected:?}");
    assert!(denied(&bound), "{bound:?}");
    TcpStream::connect(address).expect("others are not confined");
}
