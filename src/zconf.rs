//! Config
/// stub
#[derive(Debug)]
pub struct ConfigErrors;
impl std::fmt::Display for ConfigErrors { fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { Ok(()) } }
impl std::error::Error for ConfigErrors {}
