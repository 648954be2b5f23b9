//! The server: what clients send, and what is done about it.

use zinx::prelude::*;

/// A message and its answer.
const ECHO: u32 = 1;

/// A server that has not started yet.
pub(crate) fn new(config: Config) -> Result<Server> {
    let server = new_server_with_config(config)?;
    server.add_router(ECHO, echo)?;
    Ok(server)
}

fn echo(request: &dyn IRequest) -> Result<()> {
    log::info!("connection {} says {:?}", request.get_connection().get_conn_id(), request.text()?);
    request.get_connection().send_msg(ECHO, request.get_data())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use zinx::green::TcpStream;
    use zinx::zpack::read_message;

    use super::*;

    #[test]
    fn a_message_comes_back() -> Result<()> {
        let mut config = Config::default();
        config.tcp_port = 0; // any free port
        let server = new(config)?;
        server.start()?;

        let (pack, mut client) = (new_data_pack(), TcpStream::connect(server.local_addr().unwrap())?);
        client.write_all(&pack.pack(&new_message(ECHO, "hello"))?)?;
        let answer = read_message(&mut client, &pack, 4096)?.unwrap();
        assert_eq!(answer.get_msg_id(), ECHO);
        assert_eq!(answer.get_data(), "hello");

        server.stop();
        assert!(server.wait_stopped(Duration::from_secs(10)));
        Ok(())
    }
}
