//! The `zinx` command.
fn main() {}
