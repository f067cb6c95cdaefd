//! Prometheus metrics: one page, text format, no authentication, off unless configured.

use crate::config;
use crate::node::{Node, Shared};
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Serves metrics if an address is configured.
pub(crate) async fn listen(shared: &Shared, config: &config::Metrics) -> io::Result<Option<SocketAddr>> {
    if config.listen.is_empty() {
        return Ok(None);
    }
    let listener = TcpListener::bind(&config.listen).await?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && !config.public {
        let advice = "metrics.listen is reachable by others: set metrics.public = true if that is meant";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, advice));
    }
    let shared = shared.clone();
    tokio::task::spawn_local(async move {
        let places = std::sync::Arc::new(tokio::sync::Semaphore::new(READERS_MAX));
        while let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((tcp, _)) => {
                    let shared = shared.clone();
                    tokio::task::spawn_local(async move {
                        drop(timeout(PATIENCE, serve(&shared, tcp)).await);
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    Ok(Some(address))
}

async fn serve(shared: &Shared, mut tcp: TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = tcp.read(&mut chunk).await?;
        if length == 0 || request.len() > REQUEST_BYTES_MAX {
            return Ok(());
        }
        request.extend_from_slice(&chunk[..length]);
    }
    let (status, body) = if request.starts_with(b"GET /metrics ") {
        ("200 OK", shared.look(page))
    } else {
        ("404 Not Found", "only GET /metrics\n".to_owned())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    tcp.write_all(head.as_bytes()).await?;
    tcp.write_all(body.as_bytes()).await?;
    tcp.shutdown().await
}

fn page(node: &Node) -> String {
    let totals = node.router.totals();
    let counts = &node.counts;
    let mut page = String::new();
    for (side, sum) in [("emitted", &totals.emitted), ("arrived", &totals.arrived)] {
        let verdicts = [
            ("accepted", sum.accepted),
            ("duplicate", sum.duplicates),
            ("gap", sum.gaps),
            ("busy", sum.busy),
            ("refused", sum.refused),
        ];
        for (verdict, count) in verdicts {
            line(&mut page, "veritee_verdicts_total", &format!("side=\"{side}\",verdict=\"{verdict}\""), count);
        }
        line(&mut page, "veritee_frames_total", &format!("side=\"{side}\""), sum.frames);
        line(&mut page, "veritee_frames_resent_total", &format!("side=\"{side}\""), sum.resent);
        line(&mut page, "veritee_frames_dropped_total", &format!("side=\"{side}\",reason=\"epoch-dead\""), sum.dropped);
    }
    line(&mut page, "veritee_frames_dropped_total", "side=\"emitted\",reason=\"unrouted\"", totals.unrouted);
    let alive = node.hosts.iter().filter(|host| host.hosted.is_some()).count() as u64;
    let plain = [
        ("veritee_frames_waiting", totals.waiting),
        ("veritee_memory_bytes", totals.memory_bytes),
        ("veritee_stored_bytes", totals.stored_bytes),
        ("veritee_links", totals.links),
        ("veritee_modules_alive", alive),
        ("veritee_modules", node.hosts.iter().count() as u64),
        ("veritee_owners", node.owners.len() as u64),
        ("veritee_module_deaths_total", counts.module_deaths),
        ("veritee_module_restarts_total", counts.module_restarts),
        ("veritee_link_faults_total", counts.link_faults),
        ("veritee_handshakes_failed_total", counts.handshakes_failed),
        ("veritee_connections_turned_away_total", counts.connections_turned_away),
        ("veritee_control_connections_total", counts.control_connections),
        ("veritee_requests_total", counts.requests),
        ("veritee_requests_refused_total", counts.requests_refused),
        ("veritee_stored_records_total", counts.stored_records),
        ("veritee_store_batches_total", counts.store_batches),
        ("veritee_replayed_records_total", counts.replayed_records),
    ];
    for (name, value) in plain {
        line(&mut page, name, "", value);
    }
    let (mut entered, mut missed) = (0, 0);
    for timer in node.owners.values().flat_map(|owner| owner.timers.values()) {
        let figures = node.router.timer_figures(*timer);
        entered += figures.entered;
        missed += figures.missed;
    }
    line(&mut page, "veritee_timer_ticks_total", "outcome=\"entered\"", entered);
    line(&mut page, "veritee_timer_ticks_total", "outcome=\"missed\"", missed);
    page
}

fn line(page: &mut String, name: &str, labels: &str, value: u64) {
    let written =
        if labels.is_empty() { writeln!(page, "{name} {value}") } else { writeln!(page, "{name}{{{labels}}} {value}") };
    written.expect("writing to a string cannot fail");
}

const READERS_MAX: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);
const REQUEST_BYTES_MAX: usize = 8192;
