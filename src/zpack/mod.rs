//! Bytes to messages and back: wire formats and frames. Pure: no sockets, no coroutines.

mod message;
pub use message::{Message, new_message};

mod datapack;
pub use datapack::{LtvLittleEndian, NoHead, TlvBigEndian, new_data_pack};

// Other ways to cut a stream.

mod length_field;
pub use length_field::{LengthFieldDecoder, new_frame_decoder, new_ltv_little_decoder, new_tlv_decoder};

mod htlvcrc;
pub use htlvcrc::{HtlvCrcDecoder, crc16_modbus, htlvcrc_frame, new_htlvcrc_decoder};

mod delimiter;
pub use delimiter::{DelimiterDecoder, FixedLengthDecoder, new_delimiter_decoder, new_fixed_length_decoder};

// Frames out of pieces of any size.

mod framing;
pub use framing::Framing;

mod pass;
pub use pass::Pass;

mod frames;
pub use frames::{Frame, FrameReader, MIN_BUFFER};

mod read_message;
pub use read_message::read_message;
