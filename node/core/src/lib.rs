//! veritee-node-core
