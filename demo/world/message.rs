//! What both sides say to each other: the messages of the tutorial's `mmo_game`, with its numbers.
//!
//! | id | sent by | payload | what it says |
//! |---|---|---|---|
//! | 1 | server | `SyncPid` | the number of this player |
//! | 1 | browser | nothing | a new player is here; the server of the tutorial has no such message |
//! | 2 | client | `Talk` | a line, for the whole world |
//! | 3 | client | `Position` | where the player goes |
//! | 200 | server | `BroadCast` | a player talks, is seen, or has moved |
//! | 201 | server | `SyncPid` | a player is out of sight |
//! | 202 | server | `SyncPlayers` | all that are seen at the beginning |

pub(crate) const SYNC_PID: u32 = 1;
pub(crate) const TALK: u32 = 2;
pub(crate) const MOVE: u32 = 3;
pub(crate) const BROAD_CAST: u32 = 200;
pub(crate) const GONE: u32 = 201;
pub(crate) const SYNC_PLAYERS: u32 = 202;

/// Kinds of a `BroadCast`.
pub(crate) const TALKS: i32 = 1;
pub(crate) const IS_SEEN: i32 = 2;
pub(crate) const HAS_MOVED: i32 = 4;

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct SyncPid {
    #[prost(int32, tag = "1")]
    pub(crate) pid: i32,
}

/// The ground is x and z; y is the height and v the direction.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Position {
    #[prost(float, tag = "1")]
    pub(crate) x: f32,
    #[prost(float, tag = "2")]
    pub(crate) y: f32,
    #[prost(float, tag = "3")]
    pub(crate) z: f32,
    #[prost(float, tag = "4")]
    pub(crate) v: f32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Talk {
    #[prost(string, tag = "1")]
    pub(crate) content: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BroadCast {
    #[prost(int32, tag = "1")]
    pub(crate) pid: i32,
    #[prost(int32, tag = "2")]
    pub(crate) tp: i32,
    #[prost(oneof = "Data", tags = "3, 4, 5")]
    pub(crate) data: Option<Data>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Data {
    #[prost(string, tag = "3")]
    Content(String),
    #[prost(message, tag = "4")]
    P(Position),
    #[prost(int32, tag = "5")]
    Action(i32),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Player {
    #[prost(int32, tag = "1")]
    pub(crate) pid: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) p: Option<Position>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SyncPlayers {
    #[prost(message, repeated, tag = "1")]
    pub(crate) ps: Vec<Player>,
}
