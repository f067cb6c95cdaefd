//! What owners and nodes say to each other (the control interface), and nodes among themselves (links).
//!
//! The control interface is a stream of CBOR messages, each behind its length (u32, little-endian), inside mutually
//! authenticated TLS 1.3. The owner's identity is the key of his TLS session: every name below lives in his namespace.
//! One [`Request`] gets one [`Response`] with the same id; requests may be pipelined.

use minicbor::{Decode, Encode};

/// Version of the control interface and of links. Only equal versions talk.
pub const VERSION: u16 = 3;
/// Largest control message in bytes (an image is the largest thing in one).
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An Ed25519 public key: who somebody is.
pub type IdentityKey = [u8; 32];

/// A request with its number.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Call {
    /// Chosen by the caller, unique among the calls that are open.
    #[n(0)]
    pub id: u64,
    /// What is asked.
    #[n(1)]
    pub request: Request,
}

/// A response with the number of its request.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Answer {
    /// The number of the request.
    #[n(0)]
    pub id: u64,
    /// What it came to.
    #[n(1)]
    pub response: Response,
}

/// Names a module in its owner's namespace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct ModuleName {
    /// The application's UUID.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub application: [u8; 16],
    /// The module's name in the descriptor.
    #[n(1)]
    pub module: String,
}

/// Where the other end of a connection is.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Remote {
    /// On this node.
    #[n(0)]
    Here {
        /// The module.
        #[n(0)]
        module: String,
    },
    /// On another node.
    #[n(1)]
    Node {
        /// `host:port`, for the source's node; the target's node need not dial.
        #[n(0)]
        address: String,
        /// The node's identity.
        #[cbor(n(1), with = "minicbor::bytes")]
        identity: IdentityKey,
    },
    /// The owner himself: a direct connection.
    #[n(2)]
    Owner,
}

/// What an owner asks of a node. Everything but `Enter` and `Direct` is idempotent.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub enum Request {
    /// First message: the versions must be equal.
    #[n(0)]
    Hello {
        /// The caller's version.
        #[n(0)]
        version: u16,
    },
    /// What this node is: platforms, version, load.
    #[n(1)]
    Describe,
    /// Starts an instance of an image. The same module loaded again with the same image is left as it is if it lives.
    #[n(2)]
    Load {
        /// Its name.
        #[n(0)]
        name: ModuleName,
        /// The platform's word.
        #[n(1)]
        platform: String,
        /// The image.
        #[cbor(n(2), with = "minicbor::bytes")]
        image: Vec<u8>,
        /// Restart it fresh when it dies.
        #[n(3)]
        restart: bool,
    },
    /// Ends an instance and forgets it, its routes stay.
    #[n(3)]
    Unload {
        /// Its name.
        #[n(0)]
        name: ModuleName,
    },
    /// All of the owner's modules here, of one application or of all.
    #[n(4)]
    List {
        /// Only this application.
        #[cbor(n(0), with = "minicbor::bytes")]
        application: Option<[u8; 16]>,
    },
    /// Enters a module: attest, open, control, entry.
    #[n(5)]
    Enter {
        /// Its name.
        #[n(0)]
        name: ModuleName,
        /// `veritee_ids::Op`.
        #[n(1)]
        op: u16,
        /// Input bytes.
        #[cbor(n(2), with = "minicbor::bytes")]
        input: Vec<u8>,
    },
    /// The source's half of a route: frames of this connection that `source` emits go to `target`.
    #[n(6)]
    RouteOut {
        /// The application.
        #[cbor(n(0), with = "minicbor::bytes")]
        application: [u8; 16],
        /// The connection.
        #[n(1)]
        connection: u16,
        /// The emitting module, here.
        #[n(2)]
        source: String,
        /// Row of the source's table (where replies enter).
        #[n(3)]
        source_row: u16,
        /// Where the target is.
        #[n(4)]
        target: Remote,
    },
    /// The target's half of a route: frames of this connection from `source` enter `target`.
    #[n(7)]
    RouteIn {
        /// The application.
        #[cbor(n(0), with = "minicbor::bytes")]
        application: [u8; 16],
        /// The connection.
        #[n(1)]
        connection: u16,
        /// The accepting module, here.
        #[n(2)]
        target: String,
        /// Row of the target's table.
        #[n(3)]
        target_row: u16,
        /// Where the source is.
        #[n(4)]
        source: Remote,
        /// Enter the target's `late` when no event was accepted for so long, in milliseconds; 0 for never.
        #[n(5)]
        deadline_ms: u32,
        /// The port whose `late` it is.
        #[n(6)]
        port: u16,
    },
    /// Forgets both halves of a route; what is stored for it is dropped and counted.
    #[n(8)]
    Unroute {
        /// The application.
        #[cbor(n(0), with = "minicbor::bytes")]
        application: [u8; 16],
        /// The connection.
        #[n(1)]
        connection: u16,
    },
    /// Epochs up to this one are dead: refused frames of them may be dropped from the outbox (and are counted).
    #[n(9)]
    EpochDead {
        /// The application.
        #[cbor(n(0), with = "minicbor::bytes")]
        application: [u8; 16],
        /// The connection.
        #[n(1)]
        connection: u16,
        /// The last dead epoch.
        #[n(2)]
        epoch: u32,
    },
    /// Enters a user entry again and again.
    #[n(10)]
    SetTimer {
        /// The module.
        #[n(0)]
        name: ModuleName,
        /// The timer's name.
        #[n(1)]
        timer: String,
        /// Port index of the entry.
        #[n(2)]
        entry: u16,
        /// Period in milliseconds, at least 1.
        #[n(3)]
        period_ms: u32,
    },
    /// Ends a timer.
    #[n(11)]
    RemoveTimer {
        /// The module.
        #[n(0)]
        name: ModuleName,
        /// The timer's name.
        #[n(1)]
        timer: String,
    },
    /// Enters a frame of a direct connection; waits for the verdict and, for a request, for the reply.
    #[n(12)]
    Direct {
        /// The accepting module.
        #[n(0)]
        name: ModuleName,
        /// Row of its table.
        #[n(1)]
        row: u16,
        /// The frame.
        #[cbor(n(2), with = "minicbor::bytes")]
        frame: Vec<u8>,
        /// Wait so many milliseconds for the reply frame; 0 for an event.
        #[n(3)]
        reply_ms: u32,
    },
    /// Figures of the owner's connections and modules: the node's claims.
    #[n(13)]
    Figures {
        /// The application.
        #[cbor(n(0), with = "minicbor::bytes")]
        application: [u8; 16],
    },
    /// Replaces the caller's identity by another one (rotation: authenticated by the old one).
    #[n(14)]
    ReplaceIdentity {
        /// The new identity.
        #[cbor(n(0), with = "minicbor::bytes")]
        identity: IdentityKey,
    },
    /// Enrolment: pins the owner's identity. Only the holder of the one-time token can send it.
    #[n(15)]
    Enrol {
        /// The owner's identity.
        #[cbor(n(0), with = "minicbor::bytes")]
        identity: IdentityKey,
    },
    /// Waits until the outboxes of this application are empty, or the time is over.
    #[n(16)]
    Drain {
        /// The application.
        #[cbor(n(0), with = "minicbor::bytes")]
        application: [u8; 16],
        /// Wait at most so many milliseconds.
        #[n(1)]
        wait_ms: u32,
    },
    /// Removes the caller's identity from this node, with all that lives in its namespace.
    #[n(17)]
    Revoke,
    /// Lends a module of the caller's, a driver, to an application of another owner: there, `module` names it, and these
    /// connections are that application's. Replaces what was lent to it before.
    #[n(19)]
    Lend {
        /// The driver, in the caller's namespace.
        #[n(0)]
        name: ModuleName,
        /// The borrower's identity.
        #[cbor(n(1), with = "minicbor::bytes")]
        owner: IdentityKey,
        /// His application.
        #[cbor(n(2), with = "minicbor::bytes")]
        application: [u8; 16],
        /// What the driver is called there.
        #[n(3)]
        module: String,
        /// All connections that it serves there, each with its row of the driver's table.
        #[n(4)]
        connections: Vec<(u16, u16)>,
    },
    /// Takes a driver back from an application of another owner: its routes to the driver are forgotten.
    #[n(20)]
    TakeBack {
        /// The driver, in the caller's namespace.
        #[n(0)]
        name: ModuleName,
        /// The borrower's identity.
        #[cbor(n(1), with = "minicbor::bytes")]
        owner: IdentityKey,
        /// His application.
        #[cbor(n(2), with = "minicbor::bytes")]
        application: [u8; 16],
    },
    /// Reserves the place where a module is to run: measurements of images for boards depend on it. The same need again
    /// gives the same place, whatever happened to node and module since; another need gives another place, once the
    /// module is unloaded. Kept until the module is unloaded.
    #[n(18)]
    Reserve {
        /// The module's name.
        #[n(0)]
        name: ModuleName,
        /// The platform's word.
        #[n(1)]
        platform: String,
        /// The board; empty for any.
        #[n(2)]
        board: String,
        /// How much, in the platform's form.
        #[cbor(n(3), with = "minicbor::bytes")]
        need: Vec<u8>,
    },
    /// From here on this connection speaks in the name of another owner, by whose delegation the caller is his delegate:
    /// for that application, and for what its modules judge anyway. A later one replaces it.
    #[n(21)]
    ActFor {
        /// The owner who signed.
        #[cbor(n(0), with = "minicbor::bytes")]
        owner: IdentityKey,
        /// `veritee_wire::layout::Delegation`.
        #[cbor(n(1), with = "minicbor::bytes")]
        delegation: Vec<u8>,
    },
}

/// What a request came to.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub enum Response {
    /// Done, or done before.
    #[n(0)]
    Done,
    /// Answer to `Hello`.
    #[n(1)]
    Hello {
        /// The node's version.
        #[n(0)]
        version: u16,
    },
    /// Answer to `Describe`.
    #[n(2)]
    Description(#[n(0)] Description),
    /// Answer to `List`.
    #[n(3)]
    Modules(#[n(0)] Vec<ModuleReport>),
    /// Answer to `Enter` and `Direct`.
    #[n(4)]
    Entered {
        /// `veritee_ids::Status`.
        #[n(0)]
        status: u16,
        /// Expected counter of a gap.
        #[n(1)]
        value: u64,
        /// Evidence, control answer, entry's response, or reply frame; empty if none.
        #[cbor(n(2), with = "minicbor::bytes")]
        reply: Vec<u8>,
    },
    /// Answer to `Figures`.
    #[n(5)]
    Figures(#[n(0)] Figures),
    /// Answer to `Drain`.
    #[n(6)]
    Drained {
        /// Events that are still stored or queued.
        #[n(0)]
        left: u64,
    },
    /// The request was refused.
    #[n(7)]
    Failed(#[n(0)] Failure),
    /// Answer to `Reserve`.
    #[n(8)]
    Reserved {
        /// Where, in the platform's form; empty where images run anywhere.
        #[cbor(n(0), with = "minicbor::bytes")]
        place: Vec<u8>,
    },
}

/// Why a node refused a request.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Failure {
    /// Which kind.
    #[n(0)]
    pub kind: FailureKind,
    /// For people.
    #[n(1)]
    pub message: String,
}

/// Kinds of failures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum FailureKind {
    /// Another version.
    #[n(0)]
    Version,
    /// No such module, route or timer in the caller's namespace.
    #[n(1)]
    NotFound,
    /// The name is taken by another image or platform: unload it first.
    #[n(2)]
    Taken,
    /// The platform is not on this node.
    #[n(3)]
    NoPlatform,
    /// The image was refused.
    #[n(4)]
    BadImage,
    /// A quota of the owner is used up.
    #[n(5)]
    Quota,
    /// The module is dead.
    #[n(6)]
    Dead,
    /// No answer in time.
    #[n(7)]
    Timeout,
    /// The request makes no sense.
    #[n(8)]
    Malformed,
    /// The caller may not do this.
    #[n(9)]
    Forbidden,
    /// The node failed.
    #[n(10)]
    Internal,
    /// The node is stopping, or its channel to the module is full: try again.
    #[n(11)]
    Unavailable,
    /// The node, or its boards, have no such place.
    #[n(12)]
    NoRoom,
}

/// What a node is.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Description {
    /// Version of the software.
    #[n(0)]
    pub software: String,
    /// Words of the platforms that it has.
    #[n(1)]
    pub platforms: Vec<String>,
    /// Its identity.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub identity: IdentityKey,
    /// Modules that run here, of all owners.
    #[n(3)]
    pub modules: u32,
    /// Boards behind it.
    #[n(4)]
    pub boards: Vec<BoardReport>,
}

/// A board behind a node. All of it is claims: of the node, and of the board's untrusted firmware.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct BoardReport {
    /// Its platform's word.
    #[n(0)]
    pub platform: String,
    /// Its name on the node.
    #[n(1)]
    pub name: String,
    /// What it claims to be, in the platform's form; empty while nothing is known.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub claims: Vec<u8>,
    /// The same for people.
    #[n(3)]
    pub words: String,
    /// Why it cannot be used now; empty while it answers.
    #[n(4)]
    pub trouble: String,
}

/// A module, as its node reports it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ModuleReport {
    /// Its name.
    #[n(0)]
    pub name: ModuleName,
    /// Its platform.
    #[n(1)]
    pub platform: String,
    /// SHA-256 of its image.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub image: [u8; 32],
    /// Lives.
    #[n(3)]
    pub alive: bool,
    /// How it ended last; empty if it never did.
    #[n(4)]
    pub death: String,
    /// How often it was restarted.
    #[n(5)]
    pub restarts: u64,
}

/// A node's claims about an application.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Figures {
    /// One entry for each half of a route.
    #[n(0)]
    pub connections: Vec<ConnectionFigures>,
}

/// A node's claims about one half of a route. Counts are since the route was set.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct ConnectionFigures {
    /// The connection.
    #[n(0)]
    pub connection: u16,
    /// This is the source's half (else the target's).
    #[n(1)]
    pub source: bool,
    /// Frames that the source emitted, or that arrived at the target's node.
    #[n(2)]
    pub frames: u64,
    /// Verdicts `accepted`.
    #[n(3)]
    pub accepted: u64,
    /// Verdicts `duplicate`.
    #[n(4)]
    pub duplicates: u64,
    /// Verdicts `gap`.
    #[n(5)]
    pub gaps: u64,
    /// Verdicts `busy`.
    #[n(6)]
    pub busy: u64,
    /// Verdicts `refused`.
    #[n(7)]
    pub refused: u64,
    /// Frames dropped for good.
    #[n(8)]
    pub dropped: u64,
    /// Frames that are stored or queued now.
    #[n(9)]
    pub waiting: u64,
    /// Of those, durable on disk.
    #[n(10)]
    pub stored: u64,
    /// Frames sent again.
    #[n(11)]
    pub resent: u64,
}
