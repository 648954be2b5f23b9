//! Who is connected: users, and groups of connections.

// The user and the groups of one connection,
pub(super) mod membership;

// the groups of a server,
pub(super) mod groups;

// and its users.
pub(super) mod users;
