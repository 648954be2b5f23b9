//! `zinx send`: one message there, the replies back.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use zinx::green::{self, GetError, Queue, TcpStream};
use zinx::ziface::{IClient, IDataPack, IMessage, IRequest};
use zinx::znet::new_client_with_url;
use zinx::zpack::{LtvLittleEndian, Message, TlvBigEndian, new_message, read_message};
use zinx::{Client, Error, Result};

/// What the command line asks for.
#[derive(Args)]
pub(crate) struct Order {
    /// The server: HOST:PORT for TCP, or tcp://, tls://, ws://, wss://, kcp://HOST:PORT with what this program is built with; the
    /// keys of the configuration apply to all but TCP.
    #[arg(value_name = "HOST:PORT", value_parser = address)]
    address: String,
    /// The message id.
    #[arg(value_name = "ID", value_parser = whole_number)]
    id: u32,
    /// The payload.
    #[arg(value_name = "TEXT", allow_negative_numbers = true)]
    text: String,
    /// Waits for so many replies; fewer are a failure.
    #[arg(long, value_name = "N", value_parser = whole_number, conflicts_with = "no_reply")]
    replies: Option<u32>,
    /// Expects no reply: that none comes is no failure.
    #[arg(long)]
    no_reply: bool,
    /// Longest wait for the first reply, or with --replies for all.
    #[arg(long, value_name = "MS", value_parser = whole_number, default_value_t = 5000)]
    wait: u32,
    /// The wire format: ltv is little-endian, tlv big-endian as in Go Zinx today.
    #[arg(long, value_name = "FORMAT", default_value = "ltv")]
    pack: Pack,
}

/// A wire format.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Pack {
    Ltv,
    Tlv,
}

impl Pack {
    pub(crate) fn format(self) -> &'static dyn IDataPack {
        match self {
            Self::Ltv => &LtvLittleEndian,
            Self::Tlv => &TlvBigEndian,
        }
    }

    /// Makes a client speak it.
    pub(crate) fn set(self, client: &Client) -> Result<()> {
        match self {
            Self::Ltv => client.set_packet(LtvLittleEndian),
            Self::Tlv => client.set_packet(TlvBigEndian),
        }
    }
}

/// An address as the command line takes it.
pub(crate) fn address(text: &str) -> std::result::Result<String, &'static str> {
    let text = text.strip_prefix("tcp://").unwrap_or(text);
    if text.contains("://") {
        // What is wrong with it is said by the client that is made for it.
        return Ok(text.to_string());
    }
    host_port(text)
}

/// A host and a port.
pub(crate) fn host_port(text: &str) -> std::result::Result<String, &'static str> {
    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.map(|_| text.to_string()).ok_or("it is not HOST:PORT")
}

/// A number as the command line takes it.
pub(crate) fn whole_number(text: &str) -> std::result::Result<u32, String> {
    text.parse().map_err(|_| format!("it is not a whole number from 0 to {}", u32::MAX))
}

/// What the coroutine that talks tells the thread that prints.
enum News {
    Sent,
    Reply(Message),
    Failed(Error),
}

/// Sends, prints, and says how it went.
pub(crate) fn run(order: Order) -> ExitCode {
    match exchange(order) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads what we print has had enough.
        Err(Error::Io { what, source }) if what == PRINT && source.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

/// Prints what is wrong, and gives the exit code.
pub(crate) fn fail(error: &Error) -> ExitCode {
    eprintln!("zinx: {error}");
    ExitCode::from(if matches!(error, Error::Config(_)) { 2 } else { 1 })
}

fn exchange(order: Order) -> Result<()> {
    let client =
        if order.address.contains("://") { Some(new_client_with_url(&order.address)?) } else { None };
    let outcome = exchange_with(client.clone(), order);
    if let Some(client) = client {
        // So that the server hears of the end.
        client.stop();
        client.wait_stopped(FAREWELL);
    }
    outcome
}

fn exchange_with(client: Option<Client>, order: Order) -> Result<()> {
    let order = Arc::new(order);
    let (ours, queue) = (Arc::clone(&order), Arc::new(Queue::bounded(64)));
    let theirs = Arc::clone(&queue);
    green::spawn(move || {
        let talked = match client {
            Some(client) => talk_by(&client, &order, &theirs),
            None => talk(&order, &theirs),
        };
        if let Err(error) = talked {
            // The queue is closed by nobody but us.
            let _ = theirs.put(News::Failed(error));
        }
        theirs.close();
    });
    let mut exchange = Exchange { deadline: Instant::now() + CONNECT, order: ours, sent: false, came: 0 };
    while exchange.goes_on() {
        match queue.get_timeout(exchange.patience()) {
            Ok(News::Sent) => exchange.note_sent(),
            Ok(News::Reply(reply)) => exchange.take(&reply)?,
            Ok(News::Failed(error)) => return Err(error),
            Err(GetError::Empty) => break,
            Err(GetError::Closed) => return exchange.closed(),
        }
    }
    exchange.over()
}

/// How far it has come.
struct Exchange {
    order: Arc<Order>,
    deadline: Instant,
    sent: bool,
    /// Replies that have come.
    came: u32,
}

impl Exchange {
    fn goes_on(&self) -> bool {
        !self.sent || self.order.replies.is_none_or(|wanted| self.came < wanted)
    }

    /// How long to wait for the next news.
    fn patience(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let is_content = self.sent && self.order.replies.is_none() && (self.came > 0 || self.order.no_reply);
        if is_content { left.min(SILENCE) } else { left }
    }

    fn note_sent(&mut self) {
        self.sent = true;
        self.deadline = Instant::now() + Duration::from_millis(self.order.wait.into());
    }

    fn take(&mut self, reply: &Message) -> Result<()> {
        self.came += 1;
        if self.came == 1 && self.order.replies.is_none() {
            // Those that follow have their own time, so that a server that never stops does not keep us.
            self.deadline = Instant::now() + FOLLOWING;
        }
        print(reply)
    }

    /// The server has closed the connection.
    fn closed(&self) -> Result<()> {
        let (address, came) = (&self.order.address, self.came);
        match self.order.replies {
            Some(wanted) => {
                failed(format!("closed by the server {address} after {came} of {wanted} replies"))
            }
            None if self.order.no_reply || came > 0 => Ok(()),
            None => failed(format!(
                "closed by the server {address} without a reply: it may want another --pack or a smaller message"
            )),
        }
    }

    /// No more is waited for.
    fn over(&self) -> Result<()> {
        let (address, came) = (&self.order.address, self.came);
        let waited = f64::from(self.order.wait) / 1000.0;
        match self.order.replies {
            _ if !self.sent => {
                failed(format!("send to {address}: not connected within {} s", CONNECT.as_secs()))
            }
            Some(wanted) if came < wanted => {
                failed(format!("{came} of {wanted} replies from {address} within {waited} s (--wait)"))
            }
            None if came == 0 && !self.order.no_reply => failed(format!(
                "no reply from {address} within {waited} s: it may have no router for message id {} \
                 (--no-reply for a server that does not answer, --wait for a slow one)",
                self.order.id
            )),
            _ => Ok(()),
        }
    }
}

fn failed(why: String) -> Result<()> {
    Err(Error::other(why))
}

fn talk(order: &Order, news: &Queue<News>) -> Result<()> {
    let (address, pack) = (&order.address, order.pack.format());
    let failed = |what: &str| format!("{what} {address}");
    let frame = pack.pack(&new_message(order.id, order.text.clone()))?;
    let connected = TcpStream::connect(address.clone());
    let mut stream = connected.map_err(|source| Error::io(failed("connect to"), source))?;
    stream.write_all(&frame).map_err(|source| Error::io(failed("send to"), source))?;
    let _ = news.put(News::Sent);
    loop {
        match read_message(&mut stream, pack, MAX_REPLY) {
            Ok(Some(reply)) => drop(news.put(News::Reply(reply))),
            Ok(None) => return Ok(()),
            // It has closed without reading all that we sent.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(Error::PacketTooLarge { len, .. }) => {
                return Err(Error::other(format!(
                    "{address} announces a reply of {len} bytes: it may want another --pack"
                )));
            }
            Err(Error::Io { source, .. }) => return Err(Error::io(failed("read from"), source)),
            Err(error) => return Err(error),
        }
    }
}

/// As [`talk`], by a client of the library.
fn talk_by(client: &Client, order: &Order, news: &Arc<Queue<News>>) -> Result<()> {
    order.pack.set(client)?;
    let replies = Arc::clone(news);
    client.set_not_found(move |request: &dyn IRequest| {
        let _ = replies.put(News::Reply(new_message(request.get_msg_id(), request.get_bytes())));
        Ok(())
    })?;
    client.start()?;
    let conn = client.conn().ok_or(Error::ConnectionClosed)?;
    conn.send_msg(order.id, order.text.as_str())?;
    let _ = news.put(News::Sent);
    client.wait_stopped(Duration::MAX);
    Ok(())
}

fn print(reply: &Message) -> Result<()> {
    let text = String::from_utf8_lossy(reply.get_data());
    let written = writeln!(io::stdout().lock(), "id={} data={text:?}", reply.get_msg_id());
    written.map_err(|source| Error::io(PRINT, source))
}

/// What fails if standard output cannot be written.
const PRINT: &str = "print a reply";

/// The longest that connecting and sending may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest that the end may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// The longest silence after which no more replies are expected.
const SILENCE: Duration = Duration::from_millis(300);

/// The longest time in which replies are printed that follow the first.
const FOLLOWING: Duration = Duration::from_secs(5);

/// The largest reply read, in bytes.
const MAX_REPLY: u32 = 64 << 20;
