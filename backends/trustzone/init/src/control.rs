//! What the maker of the machine may ask, on a virtual port: one word a line, answered by one line of JSON.
//!
//! | word | answer |
//! |---|---|
//! | `ready` | waits until the node is ready: its line (`{"ready": …}`) |
//! | `fingerprint` | the node's fingerprint |
//! | `token` | another one-time token of the node |
//! | `enrol UUID SECRET` | `{"enrolled": true}` once the attestation service of this name has its secret, 32 hexadecimal digits |
//! | `visit CASE` | `{"visited": …}`: what the visitor that the maker put into the machine said, for tests |
//! | `stop` | `{"stopping": true}`; then the node stops, and the machine |
//!
//! When the other end hangs up, the machine stops. Who holds the port is the maker of the machine: he could read its memory just as well.

use crate::services;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

/// The port's name, as the machine's description has it.
const PORT: &str = "veritee.control";

/// Serves the port from now on.
pub(crate) fn start() -> Result<(), String> {
    let path = find().ok_or("there is no control port")?;
    let file = File::options().read(true).write(true).open(&path);
    let file = file.map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    std::thread::spawn(move || serve(&file));
    Ok(())
}

fn find() -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?;
    let mut named = ports
        .flatten()
        .filter(|port| fs::read_to_string(port.path().join("name")).is_ok_and(|name| name.trim() == PORT));
    named.next().map(|port| PathBuf::from("/dev").join(port.file_name()))
}

fn serve(port: &File) {
    let mut lines = BufReader::new(port);
    let (mut line, mut heard) = (String::new(), false);
    loop {
        line.clear();
        match lines.read_line(&mut line) {
            Ok(length) if length > 0 => heard = true,
            // Whoever started the machine is gone, however he ended: nobody is left to switch it off.
            _ if heard => services::stop(),
            // Nobody is at the other end yet.
            _ => {
                wait_for_somebody(port);
                continue;
            }
        }
        let answer = match line.trim() {
            "ready" => Ok(services::ready()),
            "fingerprint" => services::say("fingerprint"),
            "token" => services::say("token"),
            "stop" => Ok(r#"{"stopping": true}"#.to_owned()),
            word => match word.split(' ').collect::<Vec<_>>()[..] {
                ["enrol", service, secret] => services::enrol(service, secret),
                ["visit", case] => services::visit(case),
                _ => Err("there is no such word".to_owned()),
            },
        };
        let answer = answer.unwrap_or_else(|reason| format!("{{\"error\": {reason:?}}}"));
        let mut to = port;
        drop(to.write_all(format!("{answer}\n").as_bytes()));
        if line.trim() == "stop" {
            services::stop();
        }
    }
}

/// Sleeps until there is something to read: a port without another end reads as ended.
fn wait_for_somebody(port: &File) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    // While nobody is there, the port polls as hung up at once: looked at again ten times a second.
    let mut waits = [PollFd::new(port, PollFlags::IN)];
    if poll(&mut waits, None).is_ok() && waits[0].revents().contains(PollFlags::HUP) {
        let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        _ = poll(&mut [], Some(&pause));
    }
}
