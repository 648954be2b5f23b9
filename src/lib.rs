//! zinx
pub mod error;
pub mod zconf;
pub use error::{Error, Result};
