//! The server: the frames of devices, and what is done about them.
//!
//! A frame is `0x68`, a command, a length, a body and the CRC-16/MODBUS of the body, low byte first. The length counts body and
//! CRC. Change `DevicePack` and `opened` to what your devices speak.

use std::sync::Arc;
use std::time::Duration;

use zinx::prelude::*;
use zinx::ziface::Head;
use zinx::zpack::crc16_modbus;

/// What devices send: their name; a reading; that they have started.
const REGISTER: u32 = 0x01;
const READING: u32 = 0x02;
const STARTED: u32 = 0x11;
/// What they are told.
const START: u32 = 0x10;

/// A server that has not started yet.
pub(crate) fn new(config: Config) -> Result<Server> {
    let server = new_server_with_config(config)?;
    server.set_packet(DevicePack)?;
    server.add_router(REGISTER, register)?;
    server.add_router(READING, reading)?;
    server.require_login(READING..=READING, Refusal::Close)?;
    server.set_on_conn_stop(|conn| {
        log::info!("{} is gone", conn.get_user().unwrap_or_default());
        Ok(())
    });
    Ok(server)
}

/// A device names itself. It is told to start, up to four times until it says that it has.
fn register(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let device = opened(request.get_data())?.escape_ascii().to_string();
    // Closes a dead connection of the same device; `server.sessions().by_user(device)` finds it from anywhere.
    conn.login(&device, OnDuplicate::KickOld)?;
    let policy = Call::new(Duration::from_secs(1)).retries(3);
    let started = conn.call_with(START, sealed(b"port 1"), STARTED, policy)?;
    log::info!("{device} has started: {}", opened(started.get_data())?.escape_ascii());
    Ok(())
}

fn reading(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let device = conn.get_user().unwrap_or_default();
    let Ok(reading) = opened(request.get_data()) else {
        log::warn!("{device}: a frame with a wrong CRC");
        conn.stop();
        return Ok(());
    };
    log::info!("{device}: {}", reading.escape_ascii());
    conn.set_property("reading", Arc::new(reading.to_vec()));
    Ok(())
}

/// The head of a frame. The command is the message id; body and CRC are the payload.
struct DevicePack;

impl IDataPack for DevicePack {
    fn get_head_len(&self) -> usize {
        3
    }

    fn unpack(&self, head: &[u8]) -> Result<Head> {
        match head {
            [0x68, command, len] => Ok(Head { msg_id: u32::from(*command), data_len: u32::from(*len) }),
            _ => Err(Error::BadFrame { reason: "a frame of a device begins with 0x68" }),
        }
    }

    fn pack_head(&self, msg_id: u32, data_len: u32, out: &mut Vec<u8>) -> Result<()> {
        let (Ok(command), Ok(len)) = (u8::try_from(msg_id), u8::try_from(data_len)) else {
            return Err(Error::BadFrame { reason: "commands and lengths have one byte" });
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use zinx::green::TcpStream;
    use zinx::zpack::read_message;

    use super::*;

    fn frame(command: u32, body: &[u8]) -> Result<Vec<u8>> {
        DevicePack.pack(&new_message(command, sealed(body)))
    }

    #[test]
    fn a_device_is_told_to_start_until_it_has_and_a_wrong_crc_closes() -> Result<()> {
        let mut config = Config::default();
        config.tcp_port = 0; // any free port
        let server = new(config)?;
        server.start()?;

        let mut device = TcpStream::connect(server.local_addr().unwrap())?;
        device.write_all(&frame(REGISTER, b"pile-7")?)?;
        // It does not hear the first command.
        for _ in 0..2 {
            let command = read_message(&mut device, &DevicePack, 255)?.ok_or("it is closed")?;
            assert_eq!((command.get_msg_id(), opened(command.get_data())?), (START, b"port 1".as_slice()));
        }
        device.write_all(&frame(STARTED, b"32 A")?)?;
        device.write_all(&frame(READING, b"0.5 kWh")?)?;
        let mut damaged = frame(READING, b"1.0 kWh")?;
        damaged[3] ^= 1;
        device.write_all(&damaged)?;
        assert_eq!(device.read_to_end(&mut Vec::new())?, 0);

        server.stop();
        assert!(server.wait_stopped(Duration::from_secs(10)));
        Ok(())
    }
}
