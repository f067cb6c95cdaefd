//! A gate between the tool and a node, which shuts after so many messages: there the tool is killed.

use super::{Application, Said, Tool, copy, until};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What does not pass any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    /// The message after the last one that passes: all before it is done, and the tool knows.
    Request,
    /// The answer to the last one that passes: it is done, and the tool does not know.
    Answer,
}

/// How many messages a verb sends to its only node.
pub fn messages(application: &Application<'_>, tool: Tool) -> usize {
    let (said, passed) = behind_gate(application, tool, (usize::MAX, Held::Request));
    said.unwrap().ok();
    passed
}

/// Runs a verb behind a gate that lets so many of its messages pass, and kills it there. Gives what it said if it came to its end
/// before.
pub fn cut(application: &Application<'_>, tool: Tool, at: (usize, Held)) -> Option<Said> {
    behind_gate(application, tool, at).0
}

fn behind_gate(application: &Application<'_>, tool: Tool, (passes, held): (usize, Held)) -> (Option<Said>, usize) {
    let stage = application.stage;
    let [node] = stage.nodes.values().collect::<Vec<_>>()[..] else { panic!("one node is expected") };
    let gate = Gate::before(&node.address, passes, held);
    let home = tempfile::tempdir_in(stage.path()).unwrap();
    copy(&stage.owners[application.owner].home, home.path());
    let nodes = home.path().join("nodes.json");
    let text = fs::read_to_string(&nodes).unwrap();
    assert!(text.contains(&node.address), "{text}");
    fs::write(&nodes, text.replace(&node.address, &gate.address)).unwrap();

    let mut tool = tool;
    tool.0.env("VERITEE_HOME_DIR", home.path());
    let mut running = tool.spawn();
    let mut ended = false;
    until("a gate that shuts, or an end", || {
        ended = running.child().try_wait().unwrap().is_some();
        ended || gate.inner.shut.load(Ordering::SeqCst)
    });
    let said = if ended {
        Some(running.said())
    } else {
        running.kill();
        None
    };
    (said, gate.inner.passed.load(Ordering::SeqCst))
}

/// Takes one connection.
struct Gate {
    address: String,
    inner: Arc<Inner>,
}

struct Inner {
    passes: usize,
    held: Held,
    passed: AtomicUsize,
    /// The last message got its answer: what comes now is the next one.
    answered: AtomicBool,
    shut: AtomicBool,
}

impl Gate {
    fn before(node: &str, passes: usize, held: Held) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let inner = Arc::new(Inner {
            passes,
            held,
            passed: AtomicUsize::new(0),
            answered: AtomicBool::new(true),
            shut: AtomicBool::new(false),
        });
        let (node, kept) = (node.to_owned(), Arc::clone(&inner));
        std::thread::spawn(move || {
            let Ok((tool, _)) = listener.accept() else { return };
            let Ok(node) = TcpStream::connect(node) else { return };
            let (mut from_node, mut to_tool) = (node.try_clone().unwrap(), tool.try_clone().unwrap());
            let back = Arc::clone(&kept);
            std::thread::spawn(move || back.pass(&mut from_node, &mut to_tool, Held::Answer));
            let (mut from_tool, mut to_node) = (tool, node);
            kept.pass(&mut from_tool, &mut to_node, Held::Request);
        });
        Self { address, inner }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Whoever never came is not waited for.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Inner {
    /// Passes records of TLS in one direction until an end is gone, or nothing passes any more.
    fn pass(&self, from: &mut TcpStream, to: &mut TcpStream, what: Held) {
        while let Ok((is_data, record)) = read_record(from) {
            if is_data {
                match what {
                    Held::Request => self.request(),
                    Held::Answer => self.answer(),
                }
            }
            if !self.shut.load(Ordering::SeqCst) && to.write_all(&record).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    /// A message may have many records.
    fn request(&self) {
        if self.answered.swap(false, Ordering::SeqCst) {
            let passed = self.passed.load(Ordering::SeqCst);
            if self.held == Held::Request && passed >= self.passes {
                self.shut.store(true, Ordering::SeqCst);
            } else {
                self.passed.store(passed + 1, Ordering::SeqCst);
            }
        }
    }

    fn answer(&self) {
        self.answered.store(true, Ordering::SeqCst);
        if self.held == Held::Answer && self.passed.load(Ordering::SeqCst) >= self.passes {
            self.shut.store(true, Ordering::SeqCst);
        }
    }
}

/// The next record of TLS, and whether it may hold a part of a message.
fn read_record(from: &mut impl Read) -> io::Result<(bool, Vec<u8>)> {
    const APPLICATION_DATA: u8 = 23;
    let mut record = vec![0; 5];
    from.read_exact(&mut record)?;
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + length, 0);
    from.read_exact(&mut record[5..])?;
    Ok((record[0] == APPLICATION_DATA, record))
}
