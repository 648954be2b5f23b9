//! A connection's way through life: start hook, messages, close. While it rests, it is what is in here; a carrier lends it a
//! stack when its socket has something.

use std::sync::Arc;

use crate::green::{Halt, Me, Newcomer, Passenger, Readiness, contain, yield_now};
use crate::ziface::IConnection;
use crate::znet::conn::connection::Connection;
use crate::znet::enter::place::Place;
use crate::znet::leave::closing::{Closing, begin_close};
use crate::znet::leave::hooks::start_hook;
use crate::znet::read::reader::Reader;
use crate::znet::read::unread::Unread;
use crate::znet::read::wait::end_rest;
use crate::znet::talk::session::run_dialogue;
use crate::znet::transport::Transport;
use crate::znet::transport::line::OwnLine;
use crate::znet::tutorial;

/// A connection between two rides.
pub(crate) struct Rider {
    /// That of a connection that ends with it: see [`OwnLine`].
    only: Option<Transport>,
    stage: Stage,
    /// Dropped last: the others hold the transport, and its descriptor closes before the place is free.
    place: Place,
}

enum Stage {
    /// Nothing has been done. The newcomer is dropped once it begins.
    New(Option<Newcomer>),
    Reads(Unread),
    Closes(Box<Closing>),
}

impl Rider {
    /// `None` if the place has given its transport away.
    pub(crate) fn new(mut place: Place, newcomer: Option<Newcomer>) -> Option<Self> {
        let transport = place.take_transport()?;
        let only = place.conn().resume().is_none().then_some(transport);
        Some(Self { only, stage: Stage::New(newcomer), place })
    }

    /// Runs it to its end in the coroutine that calls, which waits where others rest.
    pub(crate) fn run(mut self) {
        let (me, mut ready) = (Me::caller(), Readiness::NONE);
        loop {
            match self.ride(ready, &me) {
                Halt::AtRest(on, interest) => ready = on.wait(interest),
                Halt::Again => {
                    yield_now();
                    ready = Readiness::NONE;
                }
                Halt::Over => return,
            }
        }
    }
}

impl Stage {
    /// From the start hook to the last handler.
    fn live(
        &mut self,
        conn: &Connection,
        shared: &Arc<dyn IConnection>,
        only: Option<&Transport>,
        ready: Readiness,
    ) -> Halt {
        let line = OwnLine::new(conn.line(), only);
        let unread = match std::mem::replace(self, Self::New(None)) {
            Self::New(newcomer) => {
                drop(newcomer);
                tutorial::say(format_args!("链接开启,ID= {}", conn.id()));
                start_hook(conn, shared);
                tutorial::say(format_args!("开启写业务"));
                run_dialogue(conn, shared);
                Unread::default()
            }
            Self::Reads(unread) => {
                if !unread.is_of_a_lost_peer() {
                    end_rest(conn, &line, ready);
                }
                unread
            }
            Self::Closes(_) => return Halt::Over,
        };
        let mut reader = Reader::new(conn, shared, line, unread);
        let halt = reader.read_until_rest();
        *self = Self::Reads(reader.take_unread());
        halt
    }

    /// After the last handler.
    fn close(&mut self, conn: &Connection, shared: &Arc<dyn IConnection>) -> Halt {
        tutorial::say(format_args!("链接关闭,ID= {}", conn.id()));
        let Some(mut closing) = begin_close(conn, shared).map(Box::new) else { return Halt::Over };
        let halt = closing.go_on(conn);
        *self = Self::Closes(closing);
        halt
    }
}

impl Passenger for Rider {
    fn ride(&mut self, ready: Readiness, me: &Me) -> Halt {
        let Self { only, stage, place } = self;
        let (conn, shared) = (place.conn(), place.shared());
        conn.reader_mark().set();
        let halt = if let Stage::Closes(closing) = stage {
            closing.go_on(conn)
        } else {
            // However this ends, also if a stop cuts it short, the connection closes in order.
            let halt = match me.cuttable(|| contain(|| stage.live(conn, shared, only.as_ref(), ready))) {
                Some(Ok(halt)) => halt,
                Some(Err(words)) => {
                    conn.end_after_code("code of the program", words);
                    Halt::Over
                }
                None => Halt::Over,
            };
            if matches!(halt, Halt::Over) { stage.close(conn, shared) } else { halt }
        };
        if matches!(halt, Halt::Over) {
            tutorial::say_writing_ends(conn.get_remote_addr());
        }
        conn.end_handler();
        conn.reader_mark().clear();
        halt
    }
}
