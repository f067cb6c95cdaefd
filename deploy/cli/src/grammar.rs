//! What can be typed.

use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;
use veritee_model::Millis;

/// Deploys distributed applications whose modules live in trusted execution environments.
#[derive(Parser, Debug)]
#[command(name = "veritee", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// Form of results on standard output.
    #[arg(long, global = true, value_enum, default_value_t = Form::Text)]
    pub(crate) output: Form,
    /// Says nothing but errors.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 descriptor refused, 4 evidence, module or provider refused, \
                          5 node or provider not reached, 6 events not accepted, 7 in use by another process";

const EVIDENCE: &str = "With --output json also the claims, and the key that the signature is checked with. \
                        Exit code 4 when the evidence is refused; an EAR says so too.";

/// Standard forms of evidence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Token {
    /// Attestation result: a JWT, for who believes your verdict.
    Ear,
    /// Entity attestation token: CBOR in COSE, as base64url, with the platform's own evidence, for who judges himself.
    Eat,
}

/// Form of results.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Verbs on images.
#[derive(Subcommand, Debug)]
pub(crate) enum ImageVerb {
    /// Checks an image as a node would and shows its measurement, signer, sizes and ports.
    Inspect {
        /// The file.
        file: PathBuf,
    },
}

/// Who can open a sealed state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum For {
    /// This very image.
    Enclave,
    /// Every image of the same signer and product, of this version or a higher one: it survives an update.
    Signer,
}

/// Verbs on sealed states.
#[derive(Subcommand, Debug)]
pub(crate) enum StateVerb {
    /// Has a module seal its state into a file. The module rests meanwhile, then goes on. Only its own image, on the same
    /// machine, can open the file; you cannot.
    #[command(after_help = SAVE)]
    Save {
        #[command(flatten)]
        application: Application,
        /// The module.
        module: String,
        /// Who can open it.
        #[arg(long = "for", value_enum, default_value_t = For::Enclave, value_name = "WHO")]
        policy: For,
        /// Where the file goes, if not beside the application's journal.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Starts a module anew from its sealed state and connects it, where `up` would start it in its initial state.
    #[command(after_help = RESTORE)]
    Restore {
        #[command(flatten)]
        application: Application,
        /// The module.
        module: String,
        /// The file, if not the newest one that the journal knows.
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Ends the module first if it runs: its present state is lost.
        #[arg(long)]
        replace: bool,
        /// Takes a state that the journal has not seen: that it is an old one would not be noticed.
        #[arg(long)]
        unwitnessed: bool,
    },
    /// Lists the newest sealed states that the journal knows.
    List(Placed),
}

const SAVE: &str = "Each state has a number. The journal takes it before the module hears of it, and witnesses it once the \
                    file is durable; an interrupted save is safe to repeat. Exit code 2 where the platform cannot seal.";

const RESTORE: &str = "A state with a number below the witnessed one is refused: it was rolled back. If the journal is lost, \
                       nothing is witnessed. Exit code 4 when the state is refused, by the journal or by the module.";

/// Verbs on delegations.
#[derive(Subcommand, Debug)]
pub(crate) enum DelegateVerb {
    /// Signs a delegation for this application and writes the file that your delegate needs. It has no secret in it.
    #[command(after_help = DELEGATE)]
    Create {
        #[command(flatten)]
        application: Application,
        /// The delegate's fingerprint, as his `veritee whoami` prints it, or a file with it.
        #[arg(long, value_name = "FINGERPRINT")]
        to: String,
        /// First and last epoch that he may open, of any connection.
        #[arg(long, value_name = "A-B", default_value = "1-4294967295")]
        epochs: Epochs,
        /// Its end: a day, after which it is over, or how long from now on: `30m`, `8h`, `7d`.
        #[arg(long, value_name = "DATE|DURATION")]
        until: Until,
        /// The file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Says what a file delegates, by whom and to whom.
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Lists the delegations of this application.
    List(Placed),
    /// Has all modules refuse delegations that were given so far.
    #[command(after_help = REVOKE)]
    Revoke {
        #[command(flatten)]
        application: Application,
        /// The last one that is revoked; younger ones stay.
        #[arg(long)]
        serial: Option<u64>,
    },
}

const DELEGATE: &str = "Your delegate needs an identity of his own at each node (`veritee node add`), and says --delegation FILE \
                        to up, status, call, output, request and disable. Within the epochs he can do to the modules what you can: \
                        give it to whom you trust with the application. Only modules on native and sgx know delegates.";

const REVOKE: &str = "Delegations have rising serials; modules refuse all below a floor, which only you raise. Exit code 5 when a module \
                      was not told; it is with the next call, or the next `up`. A module that was started again knows no floor \
                      until `up`.";

const VERIFY: &str = "A throw-away application is brought up on the node and removed again; your own applications are not touched. \
                      Exit code 1 when a check failed, or nothing could be verified: platforms with boards cannot yet.\n\n\
                      Example: veritee node verify --here --platform sgx --report verify-here.md";

/// Verbs.
#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    /// Makes a project that runs at once.
    New {
        /// Name of the project and its folder.
        name: String,
    },
    /// Judges a descriptor without touching anything.
    Check(Placed),
    /// Builds the images of all modules and prints their measurements.
    Build(Placed),
    /// Prints what `up` would change.
    Plan(Placed),
    /// Images, as `build` makes them.
    #[command(subcommand)]
    Image(ImageVerb),
    /// Runs a whole application on this machine, throw-away: nodes, identities and folders end with it.
    #[command(after_help = "Example: veritee run examples/smart-home/veritee.yaml --for 10s --output json")]
    Run {
        #[command(flatten)]
        application: Placed,
        /// How long; without it, until Ctrl-C.
        #[arg(long = "for", value_name = "DURATION")]
        duration: Option<Millis>,
    },
    /// Brings an application up on nodes that were added before, to last. Doing it again changes only what differs.
    #[command(visible_aliases = ["deploy", "attest", "connect"])]
    Up {
        #[command(flatten)]
        application: Placed,
        #[command(flatten)]
        acting: Acting,
        /// Stays and connects modules again that were restarted by their nodes.
        #[arg(long, conflicts_with = "delegation")]
        watch: bool,
    },
    /// Prints what is true (sealed by modules) and what nodes claim.
    Status {
        #[command(flatten)]
        application: Placed,
        #[command(flatten)]
        acting: Acting,
    },
    /// Calls a user entry: unauthenticated, anybody whom the node knows could do it.
    Call {
        #[command(flatten)]
        application: Application,
        #[command(flatten)]
        acting: Acting,
        /// `module.entry`
        entry: String,
        #[command(flatten)]
        payload: Payload,
    },
    /// Sends an event over a direct connection and waits until the module accepted it.
    Output {
        #[command(flatten)]
        application: Application,
        #[command(flatten)]
        acting: Acting,
        /// Name of the connection.
        connection: String,
        #[command(flatten)]
        payload: Payload,
        /// How long to wait for a free caller's slot.
        #[arg(long, default_value = "0s")]
        wait: Millis,
    },
    /// Sends a request over a direct connection and prints the reply.
    Request {
        #[command(flatten)]
        application: Application,
        #[command(flatten)]
        acting: Acting,
        /// Name of the connection.
        connection: String,
        #[command(flatten)]
        payload: Payload,
        /// How long to wait for a free caller's slot.
        #[arg(long, default_value = "0s")]
        wait: Millis,
        /// How long to wait for the reply.
        #[arg(long, default_value = "10s")]
        timeout: Millis,
    },
    /// Attests a module anew and prints its evidence, or your verdict on it, in a standard form that is signed by you.
    #[command(after_help = EVIDENCE)]
    Evidence {
        #[command(flatten)]
        application: Application,
        /// The module.
        module: String,
        /// What is printed.
        #[arg(long = "as", value_enum, default_value_t = Token::Ear)]
        token: Token,
    },
    /// Sealed states of modules: what survives a module, for nobody but itself to read.
    #[command(subcommand)]
    State(StateVerb),
    /// Ends a module for good: its keys are wiped.
    Disable {
        #[command(flatten)]
        application: Application,
        #[command(flatten)]
        acting: Acting,
        /// The module.
        module: String,
    },
    /// Lets somebody else act for you in this application, and takes it back.
    #[command(subcommand)]
    Delegate(DelegateVerb),
    /// Takes an application down: its modules end, its nodes forget it.
    Down(Placed),
    /// Nodes that know you.
    #[command(subcommand)]
    Node(NodeVerb),
    /// What a provider of boards does: makes them, gives owners their keys, lends drivers.
    #[command(subcommand)]
    Provider(ProviderVerb),
    /// Says what this machine has and what is missing.
    Doctor,
    /// Measures this machine: round trip, one way, floors.
    Bench {
        /// Kind of TEE.
        #[arg(long, default_value = "native")]
        platform: String,
        /// Bytes of a payload.
        #[arg(long, default_value_t = 64)]
        payload: u16,
        /// Cipher of the connections.
        #[arg(long, default_value = "aes-128-gcm")]
        cipher: String,
        /// Events of the flood.
        #[arg(long, default_value_t = 2_000_000)]
        events: u64,
        /// Further connections on each node.
        #[arg(long, default_value_t = 0)]
        connections: u16,
    },
    /// Prints who you are: your fingerprint.
    Whoami,
    /// Copies identity, root and known nodes to a folder of mode 0700.
    Backup {
        /// A new folder.
        folder: PathBuf,
    },
    /// Puts a backup back. Refused where there is an identity already.
    Restore {
        /// The backup.
        folder: PathBuf,
    },
    /// Prints a completion script.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Writes manual pages into a folder.
    Man {
        /// The folder.
        folder: PathBuf,
    },
}

/// What a TrustZone node runs on.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// An emulated machine.
    Qemu,
    /// A real board.
    Board,
}

impl Kind {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Board => "board",
        }
    }
}

/// Verbs about nodes.
#[derive(Subcommand, Debug)]
pub(crate) enum NodeVerb {
    /// Makes a TrustZone node: an emulated machine, or the files that a board needs. Other nodes: `veritee-node init`.
    #[command(after_help = "Example: veritee node init cellar --provided cellar.board")]
    Init {
        /// A new folder.
        folder: PathBuf,
        /// Kind of TEE.
        #[arg(long, default_value = "trustzone", value_parser = ["trustzone"])]
        platform: String,
        /// What it runs on.
        #[arg(long, value_enum, default_value_t = Kind::Qemu)]
        machine: Kind,
        /// The folder that `veritee provider enrol --platform trustzone` wrote, for an emulated machine with `--simulated`.
        #[arg(long)]
        provided: PathBuf,
        /// A folder with Debian's packages for arm64: optee-os, optee-os-dev, linux-image-cloud-arm64; without it they are fetched.
        #[arg(long, env = "VERITEE_PACKAGES", hide_env_values = true)]
        packages: Option<PathBuf>,
    },
    /// Switches an emulated machine on, until Ctrl-C; prints its address, fingerprint and a one-time token.
    Start {
        /// The machine's folder.
        folder: PathBuf,
        /// Port on this host's loopback; 0 takes a free one.
        #[arg(long, default_value_t = 7654)]
        port: u16,
    },
    /// Enrols you at a node, with the fingerprint and the one-time token that `veritee-node init` printed.
    Add {
        /// Name of the node, as in descriptors.
        name: String,
        /// `host:port`
        address: String,
        /// The node's fingerprint.
        #[arg(long)]
        fingerprint: String,
        /// The one-time token.
        #[arg(long, env = "VERITEE_TOKEN", hide_env_values = true)]
        token: String,
    },
    /// Lists the nodes that know you.
    List,
    /// Asks a node what it is.
    Show {
        /// Name of the node.
        name: String,
    },
    /// Verifies a node, real or simulated: has it prove, do and refuse what it must, and measures it a little.
    #[command(after_help = VERIFY)]
    Verify {
        /// Name of the node.
        #[arg(required_unless_present = "here")]
        node: Option<String>,
        /// A throw-away node on this machine, instead of one that knows you.
        #[arg(long, conflicts_with = "node")]
        here: bool,
        /// Only this kind of TEE; without it, all that the node has.
        #[arg(long, value_name = "KIND")]
        platform: Vec<String>,
        /// Where a report goes: JSON if the name ends in `.json`, else a page in Markdown.
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
    /// Takes the key of a board behind a node, that its provider made for you.
    Key {
        /// Name of the node.
        node: String,
        /// The file with the key.
        file: PathBuf,
        /// What descriptors call the board; without it, what its provider does.
        #[arg(long)]
        board: Option<String>,
    },
    /// Removes you from a node, with everything of yours that lives there.
    Remove {
        /// Name of the node.
        name: String,
    },
}

/// Verbs of providers. A provider has a folder of his own: `provider` in the configuration folder.
#[derive(Subcommand, Debug)]
pub(crate) enum ProviderVerb {
    /// Enrols the provider at a node, with the fingerprint and a one-time token that `veritee-node token` printed.
    AddNode {
        /// Name of the node.
        name: String,
        /// `host:port`
        address: String,
        /// The node's fingerprint.
        #[arg(long)]
        fingerprint: String,
        /// The one-time token.
        #[arg(long, env = "VERITEE_TOKEN", hide_env_values = true)]
        token: String,
    },
    /// Makes a board: draws its secret, builds stage 0, drivers and firmware.
    #[command(after_help = "Example: veritee provider enrol kitchen --node house --drivers led,button --out kitchen")]
    Enrol {
        /// Name of the board, as its node's configuration calls it.
        board: String,
        /// The node behind which it is.
        #[arg(long)]
        node: String,
        /// Kind of TEE.
        #[arg(long, default_value = "sancus")]
        platform: String,
        /// Drivers of its devices, in the order in which they are enabled.
        #[arg(long, value_delimiter = ',')]
        drivers: Vec<String>,
        /// It is emulated: its keys say so.
        #[arg(long)]
        simulated: bool,
        /// It has no board profile: for study; its keys say so.
        #[arg(long)]
        bare: bool,
        /// A new folder for the board's program memory and its secret.
        #[arg(long)]
        out: PathBuf,
    },
    /// Prints the key of a board that is one owner's alone. Give it to him, and to nobody else.
    VendorKey {
        /// The board.
        board: String,
        /// The owner's fingerprint, as `veritee whoami` prints it.
        #[arg(long)]
        owner: String,
        /// Where `veritee provider serve` will answer him, `host:port`.
        #[arg(long)]
        service: Option<String>,
    },
    /// Signs a module's image for a node that loads nothing else, after recomputing its name from its content.
    Sign {
        /// The board.
        board: String,
        /// The finished image.
        image: PathBuf,
        /// The fingerprint of the owner whose module it is.
        #[arg(long)]
        owner: String,
        /// Where the signed image goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Answers owners who want drivers or signatures, until Ctrl-C.
    Serve {
        /// Where to listen.
        #[arg(long, default_value = "[::]:7655")]
        listen: String,
        /// How long a grant lasts from the last time that it was taken, in hours.
        #[arg(long, default_value_t = 24)]
        hours: u32,
    },
    /// Keeps a driver for one owner.
    Grant {
        /// The board.
        board: String,
        /// The driver.
        driver: String,
        /// The owner's fingerprint.
        #[arg(long)]
        owner: String,
        /// How long, in hours.
        #[arg(long, default_value_t = 24)]
        hours: u32,
    },
    /// Takes a driver back from whoever has it.
    Release {
        /// The board.
        board: String,
        /// The driver.
        driver: String,
    },
    /// Lists boards, drivers and who has them.
    List,
}

/// Which application.
#[derive(Args, Debug, Clone)]
pub(crate) struct Application {
    /// The descriptor: .yaml, .json or .toml.
    #[arg(long = "file", short = 'f', default_value = "veritee.yaml", value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) variant: Variant,
    /// Instead of a descriptor.
    #[arg(skip)]
    pub(crate) delegation: Option<PathBuf>,
}

/// In whose name.
#[derive(Args, Debug, Clone)]
pub(crate) struct Acting {
    /// Instead of a descriptor: the delegation by which you act for the owner.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "platform", "source"])]
    pub(crate) delegation: Option<PathBuf>,
}

impl Acting {
    /// The application, in the name of its owner if this says so.
    pub(crate) fn on(self, application: impl Into<Application>) -> Application {
        Application { delegation: self.delegation, ..application.into() }
    }
}

/// First and last epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Epochs(pub(crate) u32, pub(crate) u32);

impl FromStr for Epochs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
        let (first, last) = ends
            .filter(|(first, last)| first <= last)
            .ok_or_else(|| format!("{text:?} are no epochs; write the first and the last one, as in `5-20`"))?;
        Ok(Self(first, last))
    }
}

/// When something ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Until {
    /// At a moment, in seconds since 1970.
    At(u64),
    /// After so many seconds.
    After(u64),
}

impl Until {
    /// The last second, since 1970.
    pub(crate) const fn last(self, now: u64) -> u64 {
        match self {
            Self::At(moment) => moment,
            Self::After(seconds) => now.saturating_add(seconds),
        }
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no end; write a day as in `2031-12-31`, or `30m`, `8h`, `7d`");
        if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            let last = day.and_hms_opt(23, 59, 59).and_then(|last| u64::try_from(last.and_utc().timestamp()).ok());
            return last.map(Self::At).ok_or_else(wrong);
        }
        let split = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(split);
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        seconds.map(Self::After).ok_or_else(wrong)
    }
}

/// Which application, for verbs that take nothing else.
#[derive(Args, Debug, Clone)]
pub(crate) struct Placed {
    /// The descriptor: .yaml, .json or .toml.
    #[arg(default_value = "veritee.yaml", value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) variant: Variant,
}

/// What differs from the descriptor.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct Variant {
    /// Another kind of TEE for one node or for all, whatever the descriptor says.
    #[arg(long, value_name = "[NODE=]KIND")]
    pub(crate) platform: Vec<String>,
    /// Another source for a module: `gateway=c:FOLDER` or `gateway=rust:FOLDER`, beside the descriptor.
    #[arg(long, value_name = "MODULE=LANGUAGE:FOLDER")]
    pub(crate) source: Vec<String>,
}

impl From<Placed> for Application {
    fn from(placed: Placed) -> Self {
        Self { file: placed.file, variant: placed.variant, delegation: None }
    }
}

/// Bytes to send.
#[derive(Args, Debug, Clone)]
pub(crate) struct Payload {
    /// Payload in hexadecimal, laid out as its type says (little-endian).
    #[arg(long, conflicts_with = "text", value_name = "BYTES")]
    pub(crate) hex: Option<String>,
    /// Payload as a byte string of its type: length (u16), then the text.
    #[arg(long)]
    pub(crate) text: Option<String>,
}
