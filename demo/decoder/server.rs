//! Decoders: frames of devices, HTLVCRC, in place of the wire format of Zinx.
//!
//! The message id is the frame's function, the payload the whole frame. A frame with a wrong checksum closes its
//! connection.
//!
//! Run it: `cargo run --example decoder_server`, and in a second terminal `cargo run --example decoder_client`

use std::process::ExitCode;

use zinx::ziface::{IRequest, IServer};
use zinx::zpack::{htlvcrc_frame, new_htlvcrc_decoder};
use zinx::{Result, new_server};

const HEAD: u8 = 0xa2;

/// Function 0x10 adds the bytes of the body.
fn add(request: &dyn IRequest) -> Result<()> {
    let frame = request.get_data();
    println!("function {:#04x}: {:02x?}", request.get_msg_id(), frame);
    let body = &frame[3..frame.len() - 2];
    let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    // Sent as it is: the frame brings its own head and checksum.
    request.get_connection().send_to_queue(htlvcrc_frame(HEAD, 0x90, &[sum])?)
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.set_decoder(new_htlvcrc_decoder())?;
    server.set_on_conn_stop(|conn| {
        println!("{conn:?}: {}", conn.get_close_reason().map_or_else(String::new, |why| why.to_string()));
        Ok(())
    });
    server.add_router(0x10, add)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
