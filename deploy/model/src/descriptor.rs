//! The model.

use schemars::JsonSchema;
use serde::de::{Error, value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// An application: what runs where, and who hears whom.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Veritee application descriptor")]
pub struct Descriptor {
    /// Name of the application: lower-case letters, digits and dashes.
    pub application: String,
    /// Nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// Modules by name.
    pub modules: BTreeMap<String, Module>,
    /// Connections. The order does not matter.
    #[serde(default)]
    pub connections: Vec<Connection>,
    /// Entries that nodes call again and again. Attacker-timed: a node may call them whenever it likes.
    #[serde(default)]
    pub timers: Vec<Timer>,
    /// What the owner accepts.
    #[serde(default)]
    pub policy: Policy,
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Kind of TEE: `native`, …
    pub platform: String,
    /// Where it is, `host:port`. Without it, `veritee run` starts one on this machine, and `veritee up` takes the address
    /// under which the node was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Boards behind the node, by name, on platforms that have boards. `veritee run` emulates them; without any, one named
    /// `board`. Lasting nodes have the boards that their provider says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub boards: BTreeMap<String, Board>,
}

/// A board behind a node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Drivers of its devices, in the order in which they are enabled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drivers: Vec<String>,
    /// What happens to the emulated board while `veritee run` runs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub world: Vec<Happening>,
}

/// Something that happens to an emulated board.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Happening {
    /// A command of `veritee-emu world`: `press p2.0`, `release p2.0`, `set adc0 512`, …
    pub r#do: String,
    /// When it happens first, from when all modules run.
    #[serde(default = "Millis::none")]
    pub after: Millis,
    /// How often again; without it, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Millis>,
}

/// A module.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// Its node.
    pub node: String,
    /// Its board, where the node has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// Its sources by language; the node's platform decides which one it takes.
    #[serde(default, skip_serializing_if = "Sources::is_empty")]
    pub source: Sources,
    /// Instead of a source: a driver of the board, which its provider lends to this application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// What its node does when it dies.
    #[serde(default)]
    pub restart: Restart,
}

/// Sources by language, relative to the descriptor.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// Folder of a Rust crate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rust: Option<PathBuf>,
    /// Folder of C files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c: Option<PathBuf>,
}

impl Sources {
    /// There is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rust.is_none() && self.c.is_none()
    }
}

/// Automatic recovery. A restart is an input of the attacker: the guarantee speaks of one life of a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// The module stays dead until the owner acts.
    #[default]
    None,
    /// It is started again in its initial state; its connections go on in new epochs.
    Fresh,
}

impl<'de> Deserialize<'de> for Restart {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match String::deserialize(from)?.as_str() {
            "none" => Ok(Self::None),
            "fresh" => Ok(Self::Fresh),
            // Whoever looks for it is told what there is: a node has no journal, so it cannot know which state is the newest.
            "restore" => Err(D::Error::custom(
                "no node restores a state by itself: only you know which one is the newest. `restart: fresh` starts the module in its \
                 initial state; `veritee state restore MODULE` starts it from its sealed one",
            )),
            // Parsers know the place of what is said in somebody's own words.
            other => Err(D::Error::custom(value::Error::unknown_variant(other, &["none", "fresh"]))),
        }
    }
}

/// A connection from an output to an input, from a request to a handler, or from the owner.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Its name; without one, `from-to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `module.output` or `module.request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Endpoint>,
    /// The owner is the source: `veritee output` or `veritee request`.
    #[serde(default)]
    pub direct: bool,
    /// `module.input` or `module.handler`.
    pub to: Endpoint,
    /// `aes-128-gcm`, `ascon-128` or `spongent-128`; without it the first of these that both ends have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher: Option<String>,
    /// The target's `late` is entered when no event was accepted for so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
    /// How many processes of the owner may use a direct connection at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callers: Option<u16>,
}

impl Connection {
    /// Its name, given or made.
    #[must_use]
    pub fn shown_name(&self) -> Cow<'_, str> {
        match (&self.name, &self.from) {
            (Some(name), _) => Cow::Borrowed(name),
            (None, Some(from)) => Cow::Owned(format!("{from}-{}", self.to)),
            (None, None) => Cow::Owned(format!("owner-{}", self.to)),
        }
    }
}

/// A timer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// Its name; without one, that of its entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `module.entry`.
    pub entry: Endpoint,
    /// Its period.
    pub every: Millis,
}

impl Timer {
    /// Its name, given or made.
    #[must_use]
    pub fn shown_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.entry.to_string())
    }
}

/// What the owner accepts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Unprotected or simulated platforms that are accepted, by name: `native`, …
    #[serde(default)]
    pub allow: Vec<String>,
    /// Sources of uniqueness that are accepted; without it `hardware-rng` and `persistent-counter`.
    #[serde(default)]
    pub freshness: Vec<String>,
    /// What quotes must say beside the measurement, on platforms that prove by quotes: SGX.
    #[serde(default)]
    pub quotes: Quotes,
}

/// What quotes must say.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quotes {
    /// Who must have signed the images: MRSIGNER, 64 hexadecimal digits. Without it everybody may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Lowest version that is accepted: ISVSVN.
    #[serde(default)]
    pub version: u16,
    /// What is accepted of platforms that are not up to date: statuses in Intel's words, and advisories by number.
    #[serde(default)]
    pub tcb: Vec<String>,
}

/// `module.port`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Endpoint {
    /// The module.
    pub module: String,
    /// The port.
    pub port: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.port)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('.') {
            Some((module, port)) if !module.is_empty() && !port.is_empty() && !port.contains('.') => {
                Ok(Self { module: module.to_owned(), port: port.to_owned() })
            }
            _ => Err(format!("{text:?} is no end of a connection; write `module.port`")),
        }
    }
}

/// A duration: `500ms`, `2s`, `1m`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Millis(pub u32);

impl Millis {
    const fn none() -> Self {
        Self(0)
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            millis if millis % 60_000 == 0 && millis > 0 => write!(f, "{}m", millis / 60_000),
            millis if millis % 1000 == 0 && millis > 0 => write!(f, "{}s", millis / 1000),
            millis => write!(f, "{millis}ms"),
        }
    }
}

impl FromStr for Millis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no duration; write `500ms`, `2s` or `1m`");
        let split = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(split);
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let factor = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

macro_rules! as_text {
    ($($type:ident, $name:literal, $pattern:literal, $example:literal;)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": $pattern, "examples": [$example]})
            }
        }
    )*};
}

as_text! {
    Endpoint, "Endpoint", "^[^.]+\\.[^.]+$", "sensor.temperature";
    Millis, "Duration", "^[0-9]+(ms|s|m)$", "500ms";
}

/// The JSON Schema of descriptors.
///
/// # Panics
/// Never: schemas are JSON.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(Descriptor);
    let mut text = serde_json::to_string_pretty(&schema).expect("schemas are JSON");
    text.push('\n');
    text
}
