//! Who is connected: users, and groups of connections.

// The user and the groups of one connection,
pub(super) mod membership;

// who belongs where on a server,
pub(super) mod registry;

// its groups as a program sees them,
pub(super) mod groups;

// and its users.
pub(super) mod users;

// A connection that closes leaves them.
pub(super) mod leaving;
