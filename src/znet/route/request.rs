//! A request: a message, the connection it came on, and how far its route has been run.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock};

use bytes::Bytes;

use super::route::Route;
use crate::error::Result;
use crate::green::{ReadBuffer, drop_contained, drop_each};
use crate::lock::Lock;
use crate::ziface::sealed::Sealed;
use crate::ziface::{
    Data, HandleStep, IConnection, IMessage, IRequest, IRouter, Payload, RouterHandler, Value, router_handler,
};
use crate::zpack::{Message, Pass, new_message};

/// A message and the connection it came on.
///
/// The reader has one for all that it handles itself. It lends that one the buffer it has read into, and the payload of a
/// small message stays there: nothing is allocated for a message.
pub(crate) struct Request {
    conn: Arc<dyn IConnection>,
    /// Without a payload, if that is lent.
    message: Message,
    /// In a request that the reader handles. Not in a box: that would be memory taken and given back for each read.
    lent: Lent,
    /// The message of a lent payload, for those who ask for it.
    whole: OnceLock<Box<Message>>,
    /// The next step of the route. One coroutine at a time runs it.
    step: AtomicU32,
    /// The step to jump to, from 1; 0 for none.
    goto: AtomicU8,
    /// What few requests have.
    extras: OnceLock<Box<Lock<Extras>>>,
}

/// What the reader lends.
#[derive(Default)]
struct Lent {
    /// The buffer that it has read into.
    pass: Option<Pass<ReadBuffer>>,
    /// Where the payload lies in it, if it does.
    at: Option<Range<usize>>,
}

#[derive(Clone, Default)]
struct Extras {
    values: Vec<(String, Value)>,
    response: Option<Value>,
    /// A route of its own, in place of the one its id has.
    route: Option<Arc<Route>>,
}

/// A request that runs a closure. Queue it to the worker or reader that handles the connection's requests with
/// [`send_msg_to_task_queue`](crate::ziface::IMsgHandler::send_msg_to_task_queue). Handled twice, it runs it once.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use zinx::prelude::*;
/// use zinx::znet::new_func_request;
///
/// fn greet_later(conn: &Arc<dyn IConnection>) -> zinx::Result<()> {
///     let theirs = Arc::clone(conn);
///     let greet = new_func_request(conn, move || drop(theirs.send_msg(1, "hello")));
///     conn.get_msg_handler().send_msg_to_task_queue(greet)
/// }
/// ```
#[doc(alias = "NewFuncRequest")]
pub fn new_func_request(
    conn: &Arc<dyn IConnection>,
    run: impl FnOnce() + Send + 'static,
) -> Box<dyn IRequest> {
    let request = Request::new(Arc::clone(conn), new_message(0, Bytes::new()));
    let run = Lock::new(Some(run));
    request.bind_router_slices(vec![router_handler(move |_| {
        let run = run.lock().take();
        run.into_iter().for_each(|run| run());
        Ok(())
    })]);
    Box::new(request)
}

impl Request {
    pub(crate) fn new(conn: Arc<dyn IConnection>, message: Message) -> Self {
        Self {
            conn,
            message,
            lent: Lent::default(),
            whole: OnceLock::new(),
            step: AtomicU32::new(0),
            goto: AtomicU8::new(0),
            extras: OnceLock::new(),
        }
    }

    /// Puts the next message in: one request serves all that a connection's own coroutine handles.
    #[inline]
    pub(crate) fn set_message(&mut self, message: Message) {
        self.message = message;
        self.lent.at = None;
        self.begin_route();
    }

    /// As [`set_message`](Self::set_message), with a payload that stays where it was read to.
    #[inline]
    pub(crate) fn set_lent(&mut self, msg_id: u32, at: Range<usize>) {
        self.message.set_msg_id(msg_id);
        self.lent.at = Some(at);
        self.begin_route();
    }

    #[inline]
    fn begin_route(&mut self) {
        *self.step.get_mut() = 0;
        *self.goto.get_mut() = 0;
        if self.extras.get().is_some() || self.whole.get().is_some() {
            (self.extras, self.whole) = (OnceLock::new(), OnceLock::new());
        }
    }

    /// The pass that payloads are lent from.
    pub(crate) fn pass(&mut self) -> &mut Option<Pass<ReadBuffer>> {
        &mut self.lent.pass
    }

    #[inline]
    fn lent(&self) -> Option<&[u8]> {
        let Lent { pass, at } = &self.lent;
        Some(pass.as_ref()?.slice(at.clone()?))
    }

    /// The message, which owns its payload.
    pub(crate) fn message(&self) -> &Message {
        match self.lent() {
            None => &self.message,
            Some(_) => self.whole.get_or_init(|| Message::new(self.get_msg_id(), self.get_bytes()).into()),
        }
    }

    /// The same request with another message, its route begun again.
    pub(crate) fn with_message(&self, message: Message) -> Self {
        let request = Self::new(Arc::clone(&self.conn), message);
        if let Some(extras) = self.extras.get() {
            let extras = lock(extras).clone();
            request.extras.get_or_init(|| Box::new(Lock::new(extras)));
        }
        request
    }

    /// The route it was given in place of the one its id has.
    pub(crate) fn bound_route(&self) -> Option<Arc<Route>> {
        lock(self.extras.get()?).route.clone()
    }

    /// Goes beyond the step before the handler and the handler itself, if it stands at the beginning.
    pub(crate) fn begin_with_handle(&self) -> bool {
        let begins = self.step.load(Ordering::Relaxed) == 0 && !self.goes_elsewhere();
        if begins {
            self.step.store(HandleStep::PostHandle as u32, Ordering::Relaxed);
        }
        begins
    }

    /// Whether a jump was asked for.
    pub(crate) fn goes_elsewhere(&self) -> bool {
        self.goto.load(Ordering::Relaxed) != 0
    }

    /// Goes one step on; returns the one it stood at.
    pub(crate) fn take_step(&self) -> u32 {
        let step = self.step.load(Ordering::Relaxed);
        self.step.store(step.saturating_add(1), Ordering::Relaxed);
        step
    }

    /// Jumps if that was asked for.
    pub(crate) fn take_goto(&self) -> Option<u32> {
        let step = u32::from(self.goto.load(Ordering::Relaxed)).checked_sub(1)?;
        self.goto.store(0, Ordering::Relaxed);
        self.step.store(step + 1, Ordering::Relaxed);
        Some(step)
    }

    fn bind(&self, route: Route) {
        let replaced = self.extras().route.replace(Arc::new(route));
        drop(replaced);
        self.step.store(0, Ordering::Relaxed);
        self.goto.store(0, Ordering::Relaxed);
    }

    fn extras(&self) -> MutexGuard<'_, Extras> {
        lock(self.extras.get_or_init(Box::default))
    }
}

/// Any code may drop it. A value of the program that panics then must not end that code.
impl Drop for Extras {
    fn drop(&mut self) {
        drop_each(self.values.drain(..).map(|(_, value)| value));
        drop_contained(self.response.take());
        drop_contained(self.route.take());
    }
}

impl Sealed for Request {}

impl IRequest for Request {
    fn get_connection(&self) -> &Arc<dyn IConnection> {
        &self.conn
    }

    fn get_data(&self) -> &Data {
        Data::new(self.lent().unwrap_or_else(|| self.message.get_data()))
    }

    fn get_bytes(&self) -> Bytes {
        self.lent().map_or_else(|| self.message.get_data().clone(), Bytes::copy_from_slice)
    }

    fn get_payload(&self) -> Payload<'_> {
        self.lent().map_or_else(|| self.message.get_data().into(), Payload::Borrowed)
    }

    fn get_msg_id(&self) -> u32 {
        self.message.get_msg_id()
    }

    fn get_message(&self) -> &dyn IMessage {
        self.message()
    }

    fn copy(&self) -> Box<dyn IRequest> {
        Box::new(self.with_message(self.message().clone()))
    }

    fn set(&self, key: &str, value: Value) {
        let mut extras = self.extras();
        let replaced = match extras.values.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                extras.values.push((key.to_string(), value));
                None
            }
        };
        drop(extras);
        // Dropped after the lock: its destructor may use the request.
        drop(replaced);
    }

    fn get(&self, key: &str) -> Option<Value> {
        let extras = lock(self.extras.get()?);
        extras.values.iter().find(|(known, _)| known == key).map(|(_, value)| Arc::clone(value))
    }

    fn set_response(&self, response: Value) {
        let replaced = self.extras().response.replace(response);
        drop(replaced);
    }

    fn get_response(&self) -> Option<Value> {
        lock(self.extras.get()?).response.clone()
    }

    fn bind_router(&self, router: Arc<dyn IRouter>) {
        self.bind(Route::of(router));
    }

    fn bind_router_slices(&self, handlers: Vec<RouterHandler>) {
        self.bind(Route::Slices(handlers.into()));
    }

    fn call(&self) -> Result<()> {
        self.conn.connection().core().handler().find(self).run(self)
    }

    fn router_slices_next(&self) -> Result<()> {
        self.call()
    }

    fn abort(&self) {
        self.goto.store(0, Ordering::Relaxed);
        self.step.store(u32::MAX, Ordering::Relaxed);
    }

    fn goto(&self, step: HandleStep) {
        self.goto.store(step as u8 + 1, Ordering::Relaxed);
    }
}

fn lock(extras: &Lock<Extras>) -> MutexGuard<'_, Extras> {
    extras.lock()
}
