//! veritee-exec
