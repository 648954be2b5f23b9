//! The hook server against a client in another language, which knows the protocol and nothing else of us.

use std::io::ErrorKind;
use std::process::Command;

use crate::common::process::Process;

#[test]
fn python_client_gets_the_bytes_of_the_tutorial_in_ltv_little_endian() {
    talk_in("ltv_little_endian", "ltv");
}

#[test]
fn python_client_gets_the_bytes_of_the_tutorial_in_tlv_big_endian() {
    talk_in("tlv_big_endian", "tlv");
}

/// Every wait of the client has a deadline of its own, so it ends.
fn talk_in(data_pack: &str, order: &str) {
    let server = Process::hook_server(&[("ZINX_DATAPACK", data_pack)]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/client.py");
    match Command::new("python3").arg(script).arg(server.address.to_string()).arg(order).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: interop in {data_pack}, for want of python3");
            assert!(std::env::var_os("CI").is_none(), "CI must have python3");
        }
        Err(error) => panic!("{error}"),
    }
}
