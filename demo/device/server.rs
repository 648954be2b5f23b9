//! A gateway for charging piles: binary frames with a CRC, and commands that are repeated until they are confirmed.
//!
//! A frame is `0x68`, a command, a length, a body and the CRC-16/MODBUS of the body, low byte first. The length counts
//! body and CRC.
//!
//! Run it: `cargo run --example device_server`, and in a second terminal `cargo run --example device_client`

use std::process::ExitCode;
use std::time::Duration;

use zinx::prelude::*;
use zinx::ziface::Head;
use zinx::zpack::crc16_modbus;

const REGISTER: u32 = 0x01;
const METER: u32 = 0x02;
const START: u32 = 0x10;
const STARTED: u32 = 0x11;

/// The head of a frame; the CRC is the end of the payload.
struct PilePack;

impl IDataPack for PilePack {
    fn get_head_len(&self) -> usize {
        3
    }

    fn unpack(&self, head: &[u8]) -> Result<Head> {
        match head {
            [0x68, command, len] => Ok(Head { msg_id: u32::from(*command), data_len: u32::from(*len) }),
            _ => Err(Error::BadFrame { reason: "a frame of a pile begins with 0x68" }),
        }
    }

    fn pack_head(&self, msg_id: u32, data_len: u32, out: &mut Vec<u8>) -> Result<()> {
        let (Ok(command), Ok(len)) = (u8::try_from(msg_id), u8::try_from(data_len)) else {
            return Err(Error::BadFrame { reason: "a pile knows commands and lengths of one byte" });
        };
        out.extend([0x68, command, len]);
        Ok(())
    }
}

fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &crc16_modbus(body).to_le_bytes()].concat()
}

fn opened(data: &[u8]) -> Result<&[u8]> {
    match data.split_last_chunk() {
        Some((body, crc)) if crc16_modbus(body).to_le_bytes() == *crc => Ok(body),
        _ => Err(Error::BadFrame { reason: "the CRC does not fit" }),
    }
}

/// What a pile has sent, for the terminal: bytes that are not letters are escaped there.
fn shown(body: &[u8]) -> String {
    body.escape_ascii().to_string()
}

/// A pile names itself; then it is told to charge, up to four times until it says that it does.
fn register(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let pile = shown(opened(request.get_data())?);
    conn.login(&pile, OnDuplicate::KickOld)?;
    println!("{pile} is here");
    let policy = Call::new(Duration::from_millis(300)).retries(3);
    let confirmed = conn.call_with(START, sealed(b"port 1"), STARTED, policy)?;
    println!("{pile} charges: {}", shown(opened(confirmed.get_data())?));
    Ok(())
}

fn meter(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    match opened(request.get_data()) {
        Ok(reading) => {
            println!("{}: {} kWh", conn.get_user().unwrap_or_default(), shown(reading));
            Ok(())
        }
        Err(error) => {
            conn.stop();
            Err(error)
        }
    }
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.set_packet(PilePack)?;
    server.add_router(REGISTER, register)?;
    server.add_router(METER, meter)?;
    server.require_login(METER..=METER, Refusal::Close)?;
    server.set_on_conn_stop(|conn| {
        println!("{} is gone", conn.get_user().unwrap_or_default());
        Ok(())
    });
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
