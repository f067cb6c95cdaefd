//! The macros behind the crate `veritee`; authors use them through it.
//!
//! `declared` reads what an author wrote, `check` says what is wrong with it and what to do, `expand` writes the
//! implementation of `Program`; `payload` derives fixed layouts.

mod check;
mod declared;
mod expand;
mod payload;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemImpl, parse_macro_input};

/// Makes a module of an `impl` block; see the crate `veritee`.
#[proc_macro_attribute]
pub fn module(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as declared::Arguments);
    let item = parse_macro_input!(item as ItemImpl);
    let declared = declared::Declared::read(arguments, item).and_then(check::check);
    declared.map_or_else(|error| error.to_compile_error(), |declared| expand::module(&declared)).into()
}

/// Gives a struct or enum its fixed little-endian layout; see the crate `veritee`.
#[proc_macro_derive(Payload)]
pub fn payload(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    payload::derive(&item).unwrap_or_else(|error| error.to_compile_error()).into()
}
