//! The server: what clients send, and what is done about it.

use std::sync::Arc;

use zinx::prelude::*;

/// What clients send: a name; a room; a line.
const LOGIN: u32 = 1;
const JOIN: u32 = 10;
const SAY: u32 = 11;
/// What they get: lines.
const LINE: u32 = 20;

const LONGEST_NAME: usize = 32;
const LONGEST_LINE: usize = 500;

/// A server that has not started yet.
pub(crate) fn new(config: Config) -> Result<Server> {
    let server = new_server_with_config(config)?;
    server.add_router(LOGIN, login)?;
    server.require_login(JOIN..=SAY, Refusal::answer(LINE, "log in first"))?;
    server.add_router(JOIN, join)?;
    server.add_router(SAY, say)?;
    // It is still in its rooms, and leaves them after this.
    server.set_on_conn_stop(|conn| tell(conn, "has gone"));
    Ok(server)
}

/// A second login of a user closes the older connection.
fn login(request: &dyn IRequest) -> Result<()> {
    let (conn, name) = (request.get_connection(), text(request));
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        return conn.send_msg(LINE, format!("a name has 1 to {LONGEST_NAME} letters"));
    }
    conn.login(&name, OnDuplicate::KickOld)?;
    conn.send_msg(LINE, format!("welcome, {name}"))
}

fn join(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    conn.join_group(&text(request))?;
    tell(conn, "has come")
}

fn say(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    if conn.get_groups().is_empty() {
        return conn.send_msg(LINE, "join a room first");
    }
    tell(conn, &format!("says: {}", text(request)))
}

/// Tells all in the rooms of a member, also the member. This never waits: if the queue of one is full, `QueueFull` decides.
fn tell(conn: &Arc<dyn IConnection>, what: &str) -> Result<()> {
    let name = conn.get_user().unwrap_or_default();
    for room in conn.get_groups() {
        conn.get_group(&room).broadcast(LINE, format!("{name} {what}"))?;
    }
    Ok(())
}

/// What a client has sent, as one line: it is shown to others, on terminals too.
fn text(request: &dyn IRequest) -> String {
    let text = String::from_utf8_lossy(request.get_data());
    text.chars().filter(|c| !c.is_control()).take(LONGEST_LINE).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use zinx::green::TcpStream;
    use zinx::zpack::read_message;

    use super::*;

    struct Member(TcpStream);

    impl Member {
        fn connect(server: &Server) -> Result<Self> {
            let stream = TcpStream::connect(server.local_addr().unwrap())?;
            Ok(Self(stream))
        }

        fn send(&mut self, msg_id: u32, text: &'static str) -> Result<()> {
            Ok(self.0.write_all(&new_data_pack().pack(&new_message(msg_id, text))?)?)
        }

        /// The next line.
        fn hear(&mut self) -> Result<String> {
            let line = read_message(&mut self.0, &new_data_pack(), 4096)?.ok_or("it is closed")?;
            assert_eq!(line.get_msg_id(), LINE);
            Ok(String::from_utf8_lossy(line.get_data()).into_owned())
        }
    }

    #[test]
    fn those_in_a_room_hear_each_other() -> Result<()> {
        let mut config = Config::default();
        config.tcp_port = 0; // any free port
        let server = new(config)?;
        server.start()?;

        let (mut ann, mut bob) = (Member::connect(&server)?, Member::connect(&server)?);
        ann.send(SAY, "hello?")?;
        assert_eq!(ann.hear()?, "log in first");
        for (member, name) in [(&mut ann, "ann"), (&mut bob, "bob")] {
            member.send(LOGIN, name)?;
            assert_eq!(member.hear()?, format!("welcome, {name}"));
            member.send(JOIN, "lobby")?;
            assert_eq!(member.hear()?, format!("{name} has come"));
        }
        assert_eq!(ann.hear()?, "bob has come");
        bob.send(SAY, "hello, ann")?;
        assert_eq!(
            (ann.hear()?, bob.hear()?),
            ("bob says: hello, ann".into(), "bob says: hello, ann".into())
        );
        drop(ann);
        assert_eq!(bob.hear()?, "ann has gone");

        server.stop();
        assert!(server.wait_stopped(Duration::from_secs(10)));
        Ok(())
    }
}
