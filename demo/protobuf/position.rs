//! What both sides say to each other, as `prost-build` would make it of
//!
//! ```proto
//! message Position { sint32 x = 1; sint32 y = 2; string name = 3; }
//! ```

/// Where a player is.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Position {
    #[prost(sint32, tag = "1")]
    pub(crate) x: i32,
    #[prost(sint32, tag = "2")]
    pub(crate) y: i32,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
}
