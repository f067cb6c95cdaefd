//! Images for Sancus boards: modules in C behind the wall of `backends/sancus/board`, and boards with their drivers.
//!
//! A module goes through the types in this order: [`Tools`] compile a [`ModuleSource`] into a [`Relocatable`], whose
//! [`Need`] says how much memory to reserve; [`Relocatable::place`] links it at the reserved addresses into a [`Linked`]
//! module, whose [`identity`](Linked::identity) is what the hardware measures. A board goes from a [`BoardPlan`] to a [`BoardImage`].
//!
//! 1. Nothing is written into the author's tree.
//! 2. What a module refers to is inside the module, or one of a few named addresses; everything else is an error.
//! 3. Equal sources and tools give equal bytes, wherever they are built.
//! 4. Only building needs tools; a linked module and its identity are plain values.
//!
//! Non-goals: C libraries, initialised variables (the hardware gives a module zeroed memory only), code outside the module.

mod board;
mod declared;
mod elf;
mod error;
mod linked;
mod module;
mod script;
mod store;
mod tools;

pub use board::{BoardImage, BoardPlan, BuiltInModule, DriverPlan, Memory};
pub use declared::Declared;
pub use error::ImageError;
pub use linked::{Linked, Symbol, identity};
pub use module::{Code, ModuleSource, Need, Placement, Relocatable, STACK_BYTES, Wall};
pub use tools::Tools;
