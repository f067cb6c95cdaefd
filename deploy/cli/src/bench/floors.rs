//! What this machine can do at best: the two floors that results are compared with.

use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use veritee_ciphers::AeadKey;
use veritee_ids::{CipherId, Counter, Direction};
use veritee_seal::{Aead, Nonce, Secret};
use veritee_wire::Layout;
use veritee_wire::layout::EventAssociated;

/// How often the echo is asked.
const ECHOES: usize = 20_000;
/// How long the cipher runs.
const SEAL_TIME: Duration = Duration::from_secs(1);

/// Round trips over a kept TCP connection to another thread, in microseconds.
pub(super) fn tcp_echo(bytes: usize) -> Result<Vec<f64>> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port for the echo")?;
    let address = listener.local_addr()?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut buffer = vec![0; bytes];
        while stream.read_exact(&mut buffer).is_ok() {
            stream.write_all(&buffer)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; bytes];
    let mut trips = Vec::with_capacity(ECHOES);
    for _ in 0..ECHOES {
        let start = Instant::now();
        stream.write_all(&buffer)?;
        stream.read_exact(&mut buffer)?;
        trips.push(start.elapsed().as_secs_f64() * 1e6);
    }
    drop(stream);
    let _ = echo.join();
    Ok(trips)
}

/// Events that one thread seals and opens in a second, with nothing else around it.
pub(super) fn seals_per_second(cipher: CipherId, bytes: usize) -> f64 {
    let key = AeadKey::of(cipher, &Secret::new([7; 16]));
    let associated = [0; EventAssociated::BYTES];
    let mut body = vec![0x5a; bytes];
    let (start, mut counter) = (Instant::now(), Counter(0));
    while start.elapsed() < SEAL_TIME {
        for _ in 0..256 {
            let nonce = Nonce { counter, direction: Direction::Forward };
            let tag = key.seal(nonce, &associated, &mut body);
            let opened = key.open(nonce, &associated, &mut body, &tag);
            debug_assert!(opened.is_ok(), "it was sealed with the same key");
            counter = Counter(counter.0 + 1);
        }
    }
    std::hint::black_box(&body);
    precise(counter.0) / start.elapsed().as_secs_f64()
}

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(super) const fn precise(count: u64) -> f64 {
    count as f64
}
