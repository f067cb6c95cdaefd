//! veritee-macros
