//! veritee-plan
