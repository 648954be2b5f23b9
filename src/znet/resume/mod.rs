//! A connection outlives its socket: the peer comes back, and nothing is lost.

// What a connection knows about being resumed,
pub(super) mod state;

// what the frames about it do,
pub(super) mod resume;

// the frames,
pub(super) mod wire;

// the token that a peer comes back with,
pub(super) mod token;

// how a peer comes back,
pub(super) mod returning;

// on which connection,
pub(super) mod coming_back;

// and how many may be away.
pub(super) mod away;

// In a cluster the peer may come to another node. What the nodes say to each other then,
pub(super) mod parcel;

// when it moves,
pub(super) mod moves;

// how the connection leaves,
pub(super) mod departing;

// how it arrives,
pub(super) mod arriving;

// and how it survives its node.
pub(super) mod durable;
