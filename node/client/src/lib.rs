//! How an owner's tool speaks to a node: an identity, an authenticated channel, calls.
//!
//! [`Identity`] is an Ed25519 key pair: who somebody is. [`tls`] makes TLS 1.3 channels on which both ends show raw
//! public keys (RFC 7250) and each end accepts only the keys that it has pinned. [`message`] frames CBOR messages.
//! [`Client`] sends requests, many at once, and matches the answers. [`enrol`] spends a node's one-time [`Token`].
//!
//! # Example
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use veritee_node_client::{Client, Identity, parse_fingerprint};
//! use veritee_node_protocol::Request;
//! let own = Identity::load("owner.key".as_ref())?;
//! let node = parse_fingerprint("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")?;
//! let client = Client::connect("node.example:7654", node, &own).await?;
//! let description = client.call(Request::Describe).await?;
//! # drop(description); Ok(()) }
//! ```

mod client;
mod identity;
pub mod message;
pub mod tls;
mod token;

pub use client::{Client, ClientError, enrol};
pub use identity::{Fingerprint, Identity, IdentityError, NotAFingerprint, has_signed, parse_fingerprint};
pub use token::{NotAToken, Token};
pub use veritee_node_protocol as protocol;

#[cfg(test)]
mod tests;
