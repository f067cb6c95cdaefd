//! Veritee for authors.
#![no_std]
