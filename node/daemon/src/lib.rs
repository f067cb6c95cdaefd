//! veritee-node
