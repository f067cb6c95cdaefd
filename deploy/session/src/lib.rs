//! veritee-session
