//! Bytes to messages and back: wire formats and frames. Pure: no sockets, no coroutines.

mod message;
pub use message::{Message, new_message};

mod datapack;
pub use datapack::{LtvLittleEndian, TlvBigEndian, new_data_pack};

mod frames;
pub use frames::{FrameReader, MIN_BUFFER, Pass, read_message};
