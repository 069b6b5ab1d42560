//! Models of the engine's protocols: `cargo test --features loom`.
