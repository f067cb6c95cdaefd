//! veritee-tee
