//! veritee-model
