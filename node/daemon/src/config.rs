//! The configuration file: TOML, unknown keys refused, every key with a default but `state`.

use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use veritee_node_client::parse_fingerprint;
use veritee_node_protocol::IdentityKey;

/// What a node is configured with.
///
/// | key | default | meaning |
/// |---|---|---|
/// | `state` | none | folder of key, journal, outbox and instances; made if it is missing |
/// | `listen` | `["[::]:7654"]` | addresses for owners and nodes; port 0 takes a free one |
/// | `platforms` | all | words of the platforms that may be used |
/// | `end_modules` | `false` | a graceful stop ends modules too (throw-away runs) |
/// | `providers` | none | fingerprints of the provider's identities: they may hold the drivers of boards |
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of key, journal, outbox and instances.
    pub state: PathBuf,
    /// Addresses for owners and nodes, `host:port`.
    #[serde(default = "default_listen")]
    pub listen: Vec<String>,
    /// Words of the platforms that may be used; empty for all.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// A graceful stop ends modules too.
    #[serde(default)]
    pub end_modules: bool,
    /// Fingerprints of identities of the provider.
    #[serde(default)]
    pub providers: Vec<String>,
    /// The sections `[[board]]`.
    #[serde(default, rename = "board")]
    pub boards: Vec<Board>,
    /// The section `[log]`.
    #[serde(default)]
    pub log: Log,
    /// The section `[metrics]`.
    #[serde(default)]
    pub metrics: Metrics,
    /// The section `[limits]`.
    #[serde(default)]
    pub limits: Limits,
    /// The section `[outbox]`.
    #[serde(default)]
    pub outbox: Outbox,
    /// The section `[links]`.
    #[serde(default)]
    pub links: Links,
}

/// `[[board]]`: a board behind this node.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Its name, unique on this node: what owners ask for.
    pub name: String,
    /// Its serial port: `/dev/ttyUSB0`; `unix:PATH` and `tcp:HOST:PORT` for an emulated one.
    pub port: String,
    /// Bits per second of a real serial port.
    #[serde(default = "default_baud")]
    pub baud: u32,
    /// Names of the drivers that the board comes with, in the order of its table; `driver-1`, `driver-2`, … for the rest.
    #[serde(default)]
    pub drivers: Vec<String>,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`, on standard error.
    pub format: LogFormat,
    /// Filter: `info`, `debug`, `veritee_node=trace`, …
    pub filter: String,
}

/// Form of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[metrics]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Serves Prometheus metrics (text format, no authentication) here; empty for nowhere. Only loopback addresses
    /// unless `public` is set. `127.0.0.1:9654` is the usual one.
    pub listen: String,
    /// Allows an address that others can reach.
    pub public: bool,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Authenticated connections of owners and nodes.
    pub connections: usize,
    /// Connections that are still in their handshake; beyond, the oldest one is closed.
    pub handshakes: usize,
    /// Milliseconds for a handshake.
    pub handshake_ms: u64,
    /// Milliseconds after which a silent control connection is closed.
    pub idle_ms: u64,
    /// Milliseconds for one message, once it has begun.
    pub message_ms: u64,
    /// Requests of one control connection that are open at the same time.
    pub open_requests: usize,
    /// Owners.
    pub owners: usize,
    /// Applications of one owner.
    pub applications: usize,
    /// Modules of one owner.
    pub modules: usize,
    /// Connections (halves of routes) of one owner.
    pub routes: usize,
    /// Timers of one owner.
    pub timers: usize,
    /// Largest image in bytes.
    pub image_bytes: usize,
    /// Bytes of frames without verdict that one module emitted: beyond, it is not entered.
    pub module_bytes: u64,
    /// The same for all modules of one owner.
    pub owner_bytes: u64,
    /// Bytes of frames that arrived and wait for an owner's modules: beyond, senders are told to wait.
    pub owner_arrived_bytes: u64,
    /// Bytes of an owner's frames on disk: beyond, his modules are not entered.
    pub owner_stored_bytes: u64,
}

/// `[outbox]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbox {
    /// Events leave only once they are durable here.
    pub wait_for_disk: bool,
    /// Milliseconds that an event may go without a verdict before it is written to disk.
    pub delay_ms: u64,
    /// A segment of the log is closed at this length in bytes.
    pub segment_bytes: u64,
}

/// `[links]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Links {
    /// Bytes of one connection that are under way without verdict.
    pub window_bytes: u64,
    /// Microseconds that verdicts wait for company.
    pub verdict_delay_us: u64,
    /// Milliseconds after which a silent node is asked for a sign of life; it is given up after three times that.
    pub keepalive_ms: u64,
    /// Longest pause in milliseconds between two attempts to reach a node.
    pub dial_pause_ms: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshakes: 1024,
            handshake_ms: 5_000,
            idle_ms: 600_000,
            message_ms: 120_000,
            open_requests: 64,
            owners: 64,
            applications: 256,
            modules: 256,
            routes: 65_536,
            timers: 1024,
            image_bytes: 48 << 20,
            module_bytes: 32 << 20,
            owner_bytes: 256 << 20,
            owner_arrived_bytes: 256 << 20,
            owner_stored_bytes: 1 << 30,
        }
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self { wait_for_disk: false, delay_ms: 2, segment_bytes: 16 << 20 }
    }
}

impl Default for Links {
    fn default() -> Self {
        Self { window_bytes: 1 << 20, verdict_delay_us: 1_000, keepalive_ms: 5_000, dial_pause_ms: 2_000 }
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not what it should be; the text points at the line.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<toml::de::Error>,
    },
    /// A value makes no sense.
    #[error("{key}: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// Why not.
        reason: String,
    },
}

impl Config {
    /// Reads a file. A relative `state` folder is relative to the file.
    ///
    /// # Errors
    /// [`ConfigError`], as said there.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|source| ConfigError::Malformed { path: path.to_owned(), source: Box::new(source) })?;
        if config.state.is_relative()
            && let Some(folder) = path.parent()
        {
            config.state = folder.join(&config.state);
        }
        config.check()?;
        Ok(config)
    }

    /// A configuration with all defaults.
    #[must_use]
    pub fn new(state: PathBuf) -> Self {
        Self {
            state,
            listen: default_listen(),
            platforms: Vec::new(),
            end_modules: false,
            providers: Vec::new(),
            boards: Vec::new(),
            log: Log::default(),
            metrics: Metrics::default(),
            limits: Limits::default(),
            outbox: Outbox::default(),
            links: Links::default(),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let value = |key, reason: &str| Err(ConfigError::Value { key, reason: reason.to_owned() });
        if self.listen.is_empty() {
            return value("listen", "at least one address is needed");
        }
        if self.limits.connections == 0 || self.limits.handshakes == 0 || self.limits.open_requests == 0 {
            return value("limits", "connections, handshakes and open_requests must be at least 1");
        }
        if self.limits.handshake_ms == 0 || self.limits.idle_ms == 0 || self.limits.message_ms == 0 {
            return value("limits", "times must be at least 1 ms");
        }
        if self.limits.image_bytes + 4096 > veritee_node_protocol::MESSAGE_BYTES_MAX {
            return value("limits.image_bytes", "larger than a message of the control interface may be");
        }
        if self.outbox.segment_bytes < 64 << 10 {
            return value("outbox.segment_bytes", "must be at least 65536");
        }
        if self.links.window_bytes < 256 << 10 {
            return value("links.window_bytes", "must be at least 262144: the largest frame fits a few times");
        }
        if self.links.keepalive_ms == 0 || self.links.dial_pause_ms < 20 {
            return value("links", "keepalive_ms must be at least 1, dial_pause_ms at least 20");
        }
        if let Some(wrong) = self.providers.iter().find(|provider| parse_fingerprint(provider).is_err()) {
            return value("providers", &format!("`{wrong}` is not a fingerprint: 64 hexadecimal digits"));
        }
        self.check_boards()
    }

    fn check_boards(&self) -> Result<(), ConfigError> {
        let value = |key, reason: String| Err(ConfigError::Value { key, reason });
        for (place, board) in self.boards.iter().enumerate() {
            let name = &board.name;
            let sound = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
            if name.is_empty() || name.len() > BOARD_NAME_BYTES_MAX || !name.chars().all(sound) {
                let reason = format!("`{name}`: 1 to {BOARD_NAME_BYTES_MAX} letters, digits, `-` and `_`");
                return value("board.name", reason);
            }
            if board.port.is_empty() {
                return value(
                    "board.port",
                    format!("the port of {name} is empty: /dev/ttyUSB0, unix:PATH or tcp:HOST:PORT"),
                );
            }
            let before = self.boards.iter().take(place);
            if before.clone().any(|other| other.name == *name) {
                return value("board.name", format!("two boards are called {name}"));
            }
            if let Some(other) = before.clone().find(|other| other.port == board.port) {
                return value("board.port", format!("{} and {name} have the same port {}", other.name, board.port));
            }
        }
        Ok(())
    }

    /// Whether an identity is one of the provider's.
    pub(crate) fn is_provider(&self, identity: &IdentityKey) -> bool {
        self.providers.iter().any(|provider| parse_fingerprint(provider) == Ok(*identity))
    }

    pub(crate) fn core_limits(&self) -> veritee_node_core::Limits {
        veritee_node_core::Limits {
            module_bytes_max: self.limits.module_bytes,
            owner_bytes_max: self.limits.owner_bytes,
            owner_arrived_bytes_max: self.limits.owner_arrived_bytes,
            owner_stored_bytes_max: self.limits.owner_stored_bytes,
            window_bytes: self.links.window_bytes,
            calls_max: 4096,
            verdict_delay: self.links.verdict_delay_us,
            store_delay: self.outbox.delay_ms * 1000,
            wait_for_disk: self.outbox.wait_for_disk,
            dial_pause: (20_000, self.links.dial_pause_ms * 1000),
        }
    }

    pub(crate) fn handshake(&self) -> Duration {
        Duration::from_millis(self.limits.handshake_ms)
    }
}

const fn default_baud() -> u32 {
    115_200
}

fn default_listen() -> Vec<String> {
    vec!["[::]:7654".to_owned()]
}

const BOARD_NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests;
