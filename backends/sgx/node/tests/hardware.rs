//! The hardware's path through the real processes, up to where only hardware goes on.
#![cfg(feature = "sgx-hardware")]

#[path = "support/images.rs"]
mod images;
mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use veritee_host::{HostError, LoadRequest, Platform as _};
use veritee_sgx_node::SgxPlatform;

/// Loads the smallest image; it cannot succeed anywhere.
fn refused(device: &str, aesm: &Path) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let image = images::signed(&images::enclave(&[0xcc; 64]), |_| ());
    let request = LoadRequest { image: &image, directory: folder.path(), label: "none", place: &[], provider: false };
    let platform = SgxPlatform::new(support::program()).on_hardware(device.into(), aesm.into());
    assert!(platform.here().expect("it says").starts_with("on hardware: "));
    match platform.load(&request) {
        Err(HostError::BadImage { reason }) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{device} is no SGX device"),
    }
}

/// A length in two bytes of seven bits.
fn in_two(length: usize) -> [u8; 2] {
    let half = |shift: usize| u8::try_from(length >> shift & 0x7f).expect("seven bits");
    [half(0) | 0x80, half(7)]
}

/// A service with one key, of DCAP: takes the four connections of a start.
fn serve(listener: &UnixListener) {
    let mut key = [0; 256];
    key[154] = 2;
    // Request and answer have the same number: 21 and 22 take two bytes with their kind, 15 takes one.
    let answers: [&[u8]; 4] = [&[0x10, 1], &key, &[7; 512], &[7; 512]];
    for answer in answers {
        let (mut socket, _) = listener.accept().expect("a connection");
        let mut length = [0; 4];
        socket.read_exact(&mut length).expect("a length");
        let mut request = vec![0; usize::try_from(u32::from_ne_bytes(length)).expect("a short request")];
        socket.read_exact(&mut request).expect("a request");
        let kind = if request[0] < 0x80 { &request[..1] } else { &request[..2] };
        // Field 1: no error. Field 2: a number as it is, or bytes.
        let front = if answer.len() > 2 { [&[8, 0, 0x12][..], &in_two(answer.len())].concat() } else { vec![8, 0] };
        let length = in_two(front.len() + answer.len());
        let message = [kind, &length, &front, answer].concat();
        let length = u32::try_from(message.len()).expect("a short answer");
        socket.write_all(&[&length.to_ne_bytes()[..], &message].concat()).expect("it is taken");
    }
}

#[test]
fn a_machine_without_aesm_is_told_before_anything_is_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let reason = refused("/dev/null", &folder.path().join("aesm.socket"));
    assert!(reason.contains("aesm.socket does not answer"), "{reason}");
}

#[test]
fn a_device_that_is_none_is_told_and_software_does_not_step_in() {
    for (device, words) in [("/dev/null", "this is no SGX device"), ("/dev/no-such-device", "cannot be opened")] {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("aesm");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let service = std::thread::spawn(move || serve(&listener));
        let reason = refused(device, &socket);
        assert!(reason.contains(words), "{reason}");
        service.join().expect("the service was asked for its keys, and to begin");
    }
}
