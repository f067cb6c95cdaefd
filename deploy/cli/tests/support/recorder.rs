//! Somebody on the network who passes everything on, keeps what he saw of a service's callers, and says it again.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Stands before a service.
pub struct Recorder {
    /// Where callers find it.
    pub address: String,
    /// What each caller said, in order of their coming.
    calls: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    /// Before the service at an address.
    pub fn before(service: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (service, kept) = (service.to_owned(), Arc::clone(&calls));
        std::thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                let Ok(service) = TcpStream::connect(&service) else { return };
                pass(caller, service, &kept);
            }
        });
        Self { address, calls }
    }

    /// What was heard until now.
    pub fn calls(&self) -> Vec<Vec<u8>> {
        self.calls.lock().unwrap().clone()
    }
}

/// Both directions, each in a thread of its own, until both ends are gone.
fn pass(caller: TcpStream, service: TcpStream, calls: &Arc<Mutex<Vec<Vec<u8>>>>) {
    let (mut from_service, mut to_caller) = (service.try_clone().unwrap(), caller.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_service, &mut to_caller);
        let _ = to_caller.shutdown(Shutdown::Write);
    });
    let mut kept = calls.lock().unwrap();
    let call = kept.len();
    kept.push(Vec::new());
    drop(kept);
    let (calls, mut caller, mut service) = (Arc::clone(calls), caller, service);
    std::thread::spawn(move || {
        let mut some = [0; 4096];
        while let Ok(length @ 1..) = caller.read(&mut some) {
            calls.lock().unwrap()[call].extend_from_slice(&some[..length]);
            if service.write_all(&some[..length]).is_err() {
                break;
            }
        }
        let _ = service.shutdown(Shutdown::Write);
    });
}

/// Says a recorded call to a service again, and gives what it answers until it closes the connection.
pub fn say_again(service: &str, call: &[u8]) -> Vec<u8> {
    let mut line = TcpStream::connect(service).unwrap();
    line.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The service may refuse it before its end.
    let _ = line.write_all(call).and_then(|()| line.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    match line.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("the service keeps silent: {error}"),
        _ => answer,
    }
}
