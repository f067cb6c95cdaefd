//! veritee-seal
