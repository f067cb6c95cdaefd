//! Attestation results in the eyes of the `ear` crate. Run by hand:
//!
//! ```sh
//! cargo test --manifest-path testkit/ear/Cargo.toml
//! ```

#[cfg(test)]
mod tests;
