//! How a peer enters: from the listener, or from a dialled address, to a connection with a place among the others.

// Listens on a port,
pub(super) mod listener;

// accepts peers,
pub(super) mod acceptor;

// several at once if very many come,
mod lull;

// lets them in if there is a place,
pub(super) mod entrance;

// counts the sockets of each address,
pub(super) mod crowd;

// refuses those that are banned,
pub(super) mod bans;

// goes through the handshake of a transport that has one,
pub(super) mod handshake;

// after a proxy has said for whom it speaks;
mod proxy_header;

// only so many are in progress,
pub(super) mod handshakes;

#[cfg(feature = "kcp")]
// or lets them in to KCP over UDP, which has no stream to accept;
pub(super) mod kcp_door;

#[cfg(feature = "kcp")]
// a client comes there too,
pub(super) mod kcp_dial;

// or speaks to a server as it wants to be spoken to,
pub(super) mod target;

// after connecting to it, and again when the connection is lost,
pub(super) mod dialer;

// and gives the connection its place for as long as it lives.
pub(super) mod place;
