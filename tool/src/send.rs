//! `zinx send`: one message there, the replies back.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zinx::green::{self, GetError, Queue, TcpStream};
use zinx::ziface::{IDataPack, IMessage};
use zinx::zpack::{LtvLittleEndian, Message, TlvBigEndian, new_message, read_message};
use zinx::{Error, Result};

use crate::Usage;

/// What the command line asks for.
pub(crate) struct Order {
    address: String,
    message: Message,
    replies: Option<usize>,
    pack: &'static dyn IDataPack,
}

impl Order {
    /// Reads the arguments after `send`.
    pub(crate) fn parse(args: &[String]) -> Result<Self, Usage> {
        let (mut words, mut replies) = (Vec::new(), None);
        let mut pack: &'static dyn IDataPack = &LtvLittleEndian;
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--" => words.extend(args.by_ref()),
                "--replies" => {
                    let n = args.next().ok_or("--replies needs a number")?;
                    replies = Some(n.parse().map_err(|_| format!("--replies {n:?} is not a number"))?);
                }
                "--pack" => {
                    pack = match args.next().ok_or("--pack needs ltv or tlv")?.as_str() {
                        "ltv" => &LtvLittleEndian,
                        "tlv" => &TlvBigEndian,
                        other => return Err(format!("--pack {other:?} is neither ltv nor tlv")),
                    }
                }
                option if option.starts_with("--") => return Err(format!("unknown argument {option:?}")),
                _ => words.push(arg),
            }
        }
        let (address, id, text) = match words[..] {
            [address, id, text] => (address, id, text),
            [_, _, _, extra, ..] => return Err(format!("unknown argument {extra:?}")),
            _ => return Err("send needs HOST:PORT, ID and TEXT".to_string()),
        };
        if address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            return Err(format!("{address:?} is not HOST:PORT"));
        }
        let id = id.parse().map_err(|_| format!("{id:?} is not a message id (0 to {})", u32::MAX))?;
        Ok(Self { address: address.clone(), message: new_message(id, text.clone()), replies, pack })
    }
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
        Err(error) => {
            eprintln!("zinx: {error}");
            ExitCode::FAILURE
        }
    }
}

fn exchange(order: Order) -> Result<()> {
    let (address, replies) = (order.address.clone(), order.replies);
    let queue = Arc::new(Queue::bounded(64));
    let theirs = Arc::clone(&queue);
    green::spawn(move || {
        if let Err(error) = talk(&order, &theirs) {
            // The queue is closed by nobody but us.
            let _ = theirs.put(News::Failed(error));
        }
        theirs.close();
    });
    let deadline = Instant::now() + IN_ALL;
    let (mut sent, mut came) = (false, 0);
    while !sent || replies.is_none_or(|wanted| came < wanted) {
        let left = deadline.saturating_duration_since(Instant::now());
        let patience = if sent && replies.is_none() { left.min(SILENCE) } else { left };
        match queue.get_timeout(patience) {
            Ok(News::Sent) => sent = true,
            Ok(News::Reply(reply)) => {
                came += 1;
                print(&reply)?;
                if left.is_zero() {
                    break;
                }
            }
            Ok(News::Failed(error)) => return Err(error),
            Err(GetError::Empty) if !sent => {
                return Err(Error::other(format!("send to {address}: no answer within {IN_ALL:?}")));
            }
            Err(_) => break,
        }
    }
    match replies {
        Some(wanted) if came < wanted && queue.is_closed() => {
            Err(Error::other(format!("{address} closed the connection after {came} of {wanted} replies")))
        }
        Some(wanted) if came < wanted => {
            Err(Error::other(format!("{came} of {wanted} replies from {address} within {IN_ALL:?}")))
        }
        None if came == 0 => {
            eprintln!("zinx: sent; no reply from {address}");
            Ok(())
        }
        _ => Ok(()),
    }
}

fn talk(order: &Order, news: &Queue<News>) -> Result<()> {
    let address = &order.address;
    let failed = |what: &str| format!("{what} {address}");
    let frame = order.pack.pack(&order.message)?;
    let connected = TcpStream::connect(address.clone());
    let mut stream = connected.map_err(|source| Error::io(failed("connect"), source))?;
    stream.write_all(&frame).map_err(|source| Error::io(failed("send to"), source))?;
    let _ = news.put(News::Sent);
    loop {
        match read_message(&mut stream, order.pack, MAX_REPLY) {
            Ok(Some(reply)) => drop(news.put(News::Reply(reply))),
            Ok(None) => return Ok(()),
            Err(Error::PacketTooLarge { len, .. }) => {
                return Err(Error::other(format!(
                    "{address} announces a reply of {len} bytes: has it another --pack?"
                )));
            }
            Err(Error::Io { source, .. }) => return Err(Error::io(failed("read from"), source)),
            Err(error) => return Err(error),
        }
    }
}

fn print(reply: &Message) -> Result<()> {
    let text = String::from_utf8_lossy(reply.get_data());
    let written = writeln!(io::stdout().lock(), "id={} data={text:?}", reply.get_msg_id());
    written.map_err(|source| Error::io(PRINT, source))
}

/// What fails where standard output cannot be written.
const PRINT: &str = "print a reply";

/// The longest silence after which no more replies are expected.
const SILENCE: Duration = Duration::from_millis(300);

/// The longest that everything may take.
const IN_ALL: Duration = Duration::from_secs(5);

/// The largest reply read, in bytes.
const MAX_REPLY: u32 = 64 << 20;
