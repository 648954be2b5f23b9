//! A conversation of KCP: two streams in order over datagrams that may be lost, doubled and reordered. No sockets here, and no
//! clock but the milliseconds that are passed in.
//!
//! The protocol has neither a beginning nor an end of its own. A conversation of ours begins with `Ask`, which every peer answers,
//! and ends with `End`, which peers of other make do not know: those are noticed by their silence.

use std::io::{self, IoSlice};

use super::datagrams::Datagrams;
use super::options::KcpOptions;
use super::receiver::Receiver;
use super::segments::{Command, Segment, Segments, earlier, since};
use super::sender::Sender;
use crate::znet::transport::{Left, Received};

/// One end of a conversation.
pub(super) struct Conversation {
    conv: u32,
    sender: Sender,
    receiver: Receiver,
    stream: bool,
    ack_at_once: bool,
    interval: u32,
    /// Bytes left of the frame that has begun to be added.
    left: usize,
    /// Somebody waits for room.
    is_blocked: bool,
    /// When acknowledgements are to leave that wait for others.
    acks_due: Option<u32>,
    /// When the peer was last heard.
    heard: u32,
    /// When it was last asked, and how long to wait before it is asked again.
    asked: u32,
    ask_again: u32,
    /// It has not been heard yet.
    pub(super) is_opening: bool,
    end: Option<End>,
    /// The peer has said where its stream ends, and is to hear that we know.
    end_is_news: bool,
    /// Why nothing comes or goes any more.
    fate: Option<io::ErrorKind>,
}

/// The end of our stream.
struct End {
    sn: u32,
    again_at: u32,
    wait: u32,
    times: u32,
    is_known: bool,
}

/// What has come of a datagram.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) hung_up: bool,
}

impl Conversation {
    /// Begins at `now`. `asks`: by asking the peer whether it is there.
    pub(super) fn new(conv: u32, options: &KcpOptions, now: u32, asks: bool) -> Self {
        Self {
            conv,
            sender: Sender::new(options),
            receiver: Receiver::new(options.recv_window),
            stream: options.stream,
            ack_at_once: options.ack_at_once,
            interval: options.interval,
            left: 0,
            is_blocked: false,
            acks_due: None,
            heard: now,
            asked: now.wrapping_sub(FIRST_ASK),
            ask_again: FIRST_ASK,
            is_opening: asks,
            end: None,
            end_is_news: false,
            fate: None,
        }
    }

    /// The same, with other first numbers.
    #[cfg(test)]
    pub(super) fn beginning_at(mut self, sn: u32) -> Self {
        self.sender.begin_at(sn);
        self.receiver.begin_at(sn);
        self
    }

    /// Whether all has arrived, and been read.
    #[cfg(test)]
    pub(super) fn is_quiet(&self) -> bool {
        self.sender.is_empty() && !self.receiver.is_ready()
    }

    /// Acknowledgements that wait.
    #[cfg(test)]
    pub(super) const fn acks(&self) -> usize {
        self.receiver.acks()
    }

    /// How long acknowledgements take, in milliseconds; 0 before the first.
    #[cfg(any(feature = "admin", test))]
    pub(super) const fn round_trip(&self) -> u32 {
        self.sender.round_trip()
    }

    /// Adds what there is room for. Returns how many bytes that was. `lens`: as for `Transport::send`.
    pub(super) fn add(
        &mut self,
        slices: &[IoSlice<'_>],
        mut lens: impl Iterator<Item = usize>,
    ) -> io::Result<usize> {
        if let Some(fate) = self.fate {
            return Err(fate.into());
        }
        if self.end.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.left > 0 {
            // Of the one that has begun.
            lens.next();
        }
        let mut added = 0;
        for mut part in slices.iter().map(|slice| &slice[..]) {
            while !part.is_empty() {
                let begins = self.left == 0;
                if begins {
                    self.left = if self.stream { part.len() } else { lens.next().unwrap_or(part.len()) };
                }
                let n = self.sender.add(&part[..part.len().min(self.left)], self.stream || !begins);
                if n == 0 {
                    self.left = if begins { 0 } else { self.left };
                    return self.added(added);
                }
                self.left -= n;
                part = &part[n..];
                added += n;
            }
        }
        self.added(added)
    }

    fn added(&mut self, n: usize) -> io::Result<usize> {
        self.is_blocked = n == 0;
        if n == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }

    /// Moves bytes to the front of `buf`.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<Received> {
        let n = self.receiver.read(buf);
        if n > 0 {
            // Once more, if only for the end.
            let more = self.has_input();
            return Ok(Received { n, left: if more { Left::More } else { Left::Drained } });
        }
        if self.receiver.is_ready() || buf.is_empty() {
            return Ok(Received { n: 0, left: Left::More });
        }
        match self.fate {
            _ if self.receiver.has_ended() => Ok(Received { n: 0, left: Left::End }),
            Some(fate) => Err(fate.into()),
            None => Ok(Received::NOTHING),
        }
    }

    /// Whether something waits to be read, if only the end.
    pub(super) fn has_input(&self) -> bool {
        self.receiver.is_ready() || self.receiver.has_ended() || self.fate.is_some()
    }

    /// Ends our stream, behind what has been added.
    pub(super) fn shut(&mut self, now: u32) {
        let sn = self.sender.end();
        self.end.get_or_insert(End { sn, again_at: now, wait: FIRST_ASK, times: 0, is_known: false });
    }

    /// Nothing comes or goes any more.
    pub(super) fn fail(&mut self, fate: io::ErrorKind) {
        self.fate.get_or_insert(fate);
        self.sender.discard();
    }

    pub(super) const fn fate(&self) -> Option<io::ErrorKind> {
        self.fate
    }

    /// Whether all that we have said has arrived, as far as that can be known.
    pub(super) fn is_over(&self) -> bool {
        let said = |end: &End| end.is_known || end.times >= ENDS_AT_MOST;
        self.fate.is_some() || self.sender.is_empty() && self.end.as_ref().is_some_and(said)
    }

    /// Takes in a datagram. `came`: whether it came so, and was not computed from others.
    pub(super) fn take(&mut self, segments: Segments<'_>, came: bool, now: u32) -> News {
        if self.fate.is_some() {
            // Nothing is answered any more, so nothing may be kept for an answer, however long a handler holds the connection.
            return News::default();
        }
        let (una, was) = (self.sender.una(), self.has_input());
        self.heard = now;
        let opens = std::mem::take(&mut self.is_opening);
        for segment in segments {
            if segment.command == Command::Reset {
                self.fail(io::ErrorKind::ConnectionReset);
                break;
            }
            if came {
                self.sender.set_remote_window(segment.window);
            }
            if came && segment.command == Command::Ack {
                // Before what it acknowledges is let go.
                self.sender.take_time(segment.sn, segment.ts, now);
            }
            self.sender.take_una(segment.una);
            match segment.command {
                Command::Push => self.take_push(&segment, now),
                Command::Ack => self.sender.take_ack(segment.sn, segment.ts),
                Command::Ask => self.receiver.to_tell = true,
                Command::End => {
                    self.receiver.take_end(segment.sn);
                    self.end_is_news = true;
                }
                Command::EndAck => {
                    self.end
                        .iter_mut()
                        .filter(|end| end.sn == segment.sn)
                        .for_each(|end| end.is_known = true);
                }
                Command::Tell | Command::Reset => {}
            }
        }
        self.sender.note_progress(una);
        if !self.sender.is_shut_out() {
            self.ask_again = FIRST_ASK;
        }
        let hung_up = !was && (self.receiver.has_ended() || self.fate.is_some());
        News { readable: self.has_input(), writable: self.has_new_room() || opens, hung_up }
    }

    fn take_push(&mut self, segment: &Segment<'_>, now: u32) {
        // If we have it already, our acknowledgement was lost: it is repeated at once.
        let is_old = since(segment.sn, self.receiver.wanted()) < 0;
        self.receiver.take_push(segment);
        if is_old || self.ack_at_once || self.receiver.has_many_acks() {
            self.acks_due = Some(now);
        } else {
            self.acks_due.get_or_insert_with(|| now.wrapping_add(self.interval));
        }
    }

    /// Whether there is room again for one that waits for it.
    fn has_new_room(&mut self) -> bool {
        let has = self.is_blocked && (self.fate.is_some() || self.sender.has_much_room());
        self.is_blocked &= !has;
        has
    }

    /// Sends whatever is due, and as much new data as the peer has room for.
    pub(super) fn flush(&mut self, now: u32, out: &mut Datagrams<'_>) {
        if self.fate.is_some() {
            return;
        }
        let (window, una) = (self.receiver.room(), self.receiver.wanted());
        let bare = Segment { window, una, ..Segment::bare(self.conv, Command::Ack) };
        if self.acks_due.is_some_and(|due| since(now, due) >= 0) || self.sender.has_queued() {
            self.acks_due = None;
            self.receiver.acknowledge(&bare, out);
        }
        if std::mem::take(&mut self.end_is_news)
            && let Some(sn) = self.receiver.end()
        {
            out.put(&Segment { command: Command::EndAck, sn, ..bare });
        }
        if since(now, self.ask_at()) >= 0 {
            (self.asked, self.ask_again) = (now, (2 * self.ask_again).min(LONGEST_ASK));
            // A peer that does not know the conversation sees by the numbers that it has gone on for a while.
            out.put(&Segment { command: Command::Ask, sn: self.sender.end(), ..bare });
        }
        if std::mem::take(&mut self.receiver.to_tell) {
            out.put(&Segment { command: Command::Tell, ..bare });
        }
        self.sender.flush(now, &bare, out);
        if let Some(end) = &mut self.end
            && end.is_due(now)
        {
            (end.again_at, end.times) = (now.wrapping_add(end.wait), end.times + 1);
            end.wait = (2 * end.wait).min(LONGEST_END);
            // A peer that does not know the command drops the datagram.
            out.leave();
            out.put(&Segment { command: Command::End, sn: end.sn, ..bare });
        }
    }

    /// When the peer is asked next whether it is there, and what it takes.
    fn ask_at(&self) -> u32 {
        if self.is_opening || self.sender.is_shut_out() {
            self.asked.wrapping_add(self.ask_again)
        } else if since(self.heard, self.asked) >= 0 {
            self.heard.wrapping_add(QUIET)
        } else {
            self.asked.wrapping_add(ASK_EVERY)
        }
    }

    /// Whether the peer has been silent for too long: the conversation fails then.
    pub(super) fn fails_of_silence(&mut self, now: u32) -> bool {
        let silent = self.fate.is_none() && since(now, self.heard.wrapping_add(SILENCE)) >= 0;
        if silent {
            self.fail(io::ErrorKind::TimedOut);
        }
        silent
    }

    /// When something is to be done, if nothing comes before.
    pub(super) fn due(&self) -> Option<u32> {
        if self.fate.is_some() {
            return None;
        }
        let end = self.end.as_ref().filter(|end| end.goes_on()).map(|end| end.again_at);
        let asks = [Some(self.ask_at()), Some(self.heard.wrapping_add(SILENCE))];
        let all = [self.acks_due, self.sender.due(), end].into_iter().chain(asks).flatten();
        all.reduce(earlier)
    }

    /// Whether something is to leave before it is due.
    pub(super) fn is_pressed(&self) -> bool {
        self.receiver.to_tell || self.end_is_news || self.sender.is_pressed()
    }
}

impl End {
    const fn goes_on(&self) -> bool {
        !self.is_known && self.times < ENDS_AT_MOST
    }

    const fn is_due(&self, now: u32) -> bool {
        self.goes_on() && since(now, self.again_at) >= 0
    }
}

/// In milliseconds: before the peer is asked again that has not been heard, or takes nothing.
const FIRST_ASK: u32 = 100;
const LONGEST_ASK: u32 = 3_000;

/// So long it may say nothing before it is asked whether it is there; then again and again, until it has failed.
const QUIET: u32 = 10_000;
const ASK_EVERY: u32 = 3_000;
const SILENCE: u32 = 30_000;

/// How often the end is said to a peer that does not answer, and the longest time between.
const ENDS_AT_MOST: u32 = 10;
const LONGEST_END: u32 = 1_000;
