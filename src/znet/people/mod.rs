//! Who is connected: users, and groups of connections.

// The user and the groups of one connection,
pub(super) mod membership;

// the groups and users of a server,
pub(super) mod registry;

// as a program uses them: groups,
pub(super) mod groups;

// and users.
pub(super) mod users;

// In a cluster other nodes know of a login.
pub(super) mod claiming;

// One that comes from another brings its user and groups along.
pub(super) mod arriving;

// A connection that closes leaves all of them.
pub(super) mod leaving;
