//! zinx
pub mod error;
pub mod green;
pub mod zconf;
pub mod ziface;
pub mod zpack;
pub use error::{Error, Result};
