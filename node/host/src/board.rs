//! Boards: devices behind a node, whose memory is reserved before an image for it is linked.

/// A board, as its platform knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Board {
    /// Its name in the node's configuration.
    pub name: String,
    /// What it says of itself, in the platform's form for its owner's side; empty while nothing is known. Untrusted.
    pub claims: Vec<u8>,
    /// The same for people.
    pub words: String,
    /// Why it cannot be used now; empty while it answers.
    pub trouble: String,
}

/// What a module needs of a board.
#[derive(Clone, Copy, Debug)]
pub struct ReserveRequest<'a> {
    /// The board's name; empty for any.
    pub board: &'a str,
    /// How much, in the platform's form.
    pub need: &'a [u8],
    /// Places of this platform that the node keeps for other modules.
    pub taken: &'a [&'a [u8]],
}
