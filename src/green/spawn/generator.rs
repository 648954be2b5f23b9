//! Generators: a body that yields values, one at a time, each when the next is asked for.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, MutexGuard};

use crate::green::{Builder, Channel, Event, Greenlet, is_unwinding};
use crate::lock::Lock;

/// A body that yields values to a `for` loop. It runs only to make the value that was asked for.
///
/// The body is a coroutine of its own, begun with the first value asked for: it may wait on anything meanwhile, and it
/// takes a stack, but no thread. When it returns, the loop ends; a panic goes on in the consumer. Dropped or
/// [closed](Self::close) before its end, the body unwinds at the `yield_` it is in, and its destructors run.
///
/// The contract of [`spawn`](crate::green::spawn()) holds for the body, which runs on the worker where the first value is asked for.
///
/// # Examples
///
/// ```
/// use zinx::green::generator::Generator;
///
/// let fibonacci: Generator<u64> = Generator::new(|out| {
///     let (mut a, mut b) = (0_u64, 1);
///     loop {
///         out.yield_(a);
///         (a, b) = (b, a + b);
///     }
/// });
/// assert_eq!(fibonacci.take(8).collect::<Vec<_>>(), [0, 1, 1, 2, 3, 5, 8, 13]);
/// ```
///
/// What is sent is what `yield_` returns:
///
/// ```
/// use zinx::green::generator::Generator;
///
/// let mut sums = Generator::new(|out| {
///     let mut sum = 0;
///     while let Some(n) = out.yield_(sum) {
///         sum += n;
///     }
/// });
/// assert_eq!(sums.next(), Some(0));
/// assert_eq!((sums.send(3), sums.send(4)), (Some(3), Some(7)));
/// assert_eq!(sums.next(), None, "nothing sent: the body returns");
/// ```
pub struct Generator<Y, S = ()> {
    state: State<Y, S>,
}

/// What the body of a [`Generator`] yields through.
pub struct Yielder<Y, S = ()> {
    link: Arc<Link<Y, S>>,
}

enum State<Y, S> {
    /// A start for which there is no room leaves the body to the next.
    Unstarted(Arc<Lock<Option<Body<Y, S>>>>),
    Started {
        link: Arc<Link<Y, S>>,
        body: Greenlet<()>,
        /// A step has begun whose value has not come: a time limit has cut the wait for it short.
        asked: bool,
    },
    Ended,
}

type Body<Y, S> = Box<dyn FnOnce(Yielder<Y, S>) + Send>;

/// Consumer and body take turns: values one way, leave to go on the other.
struct Link<Y, S> {
    values: Channel<Y>,
    turns: Lock<Turns<S>>,
    /// Set when the body may go on, or is to end.
    leave: Event,
}

struct Turns<S> {
    /// Values asked for, the first by the start.
    asked: u64,
    /// Values given.
    given: u64,
    /// What was sent with the last question.
    sent: Option<S>,
    closed: bool,
}

impl<Y: Send + 'static, S: Send + 'static> Generator<Y, S> {
    /// A generator that has not begun: `body` runs with the first value asked for.
    pub fn new(body: impl FnOnce(&Yielder<Y, S>) + Send + 'static) -> Self {
        let body: Body<Y, S> = Box::new(move |yielder| body(&yielder));
        Self { state: State::Unstarted(Arc::new(Lock::new(Some(body)))) }
    }

    /// Resumes the body, whose `yield_` returns `Some(value)`; returns what it yields next. `None` if it has ended:
    /// the value is dropped.
    ///
    /// A step that a time limit has cut short is still under way: the next call of `next` or `send` gives the value that
    /// was late, and what is sent with it is dropped, for the body has gone on already.
    ///
    /// # Panics
    ///
    /// If the body has not begun: no `yield_` waits for the value. Call `next` first. A panic of the body goes on here.
    pub fn send(&mut self, value: S) -> Option<Y> {
        assert!(!matches!(self.state, State::Unstarted(_)), "sent to a generator that has not begun");
        self.resume(Some(value))
    }

    /// Ends the body: it unwinds at the `yield_` it is in, and is waited for. Twice is the same as once. In a destructor
    /// that runs while its coroutine unwinds, the body is not waited for, and `next` and `send` give `None`.
    ///
    /// # Panics
    ///
    /// A panic of a destructor in the body goes on here.
    pub fn close(&mut self) {
        match &self.state {
            State::Started { link, .. } => {
                link.close();
                self.end();
            }
            _ => self.state = State::Ended,
        }
    }

    fn resume(&mut self, sent: Option<S>) -> Option<Y> {
        if is_unwinding() {
            return None;
        }
        if let State::Unstarted(body) = &self.state {
            self.state = start(body);
        }
        let State::Started { link, asked, .. } = &mut self.state else { return None };
        if !std::mem::replace(asked, true) {
            link.ask(sent);
        }
        let value = link.values.get();
        if value.is_none() {
            self.end();
        } else {
            *asked = false;
        }
        value
    }

    /// Waits for the end of the body; a panic of its own goes on in the caller.
    fn end(&mut self) {
        let State::Started { body, .. } = &self.state else { return };
        body.join();
        if is_unwinding() {
            // A second panic would end the process, and the body is not waited for.
            self.state = State::Ended;
            return;
        }
        let State::Started { body, .. } = std::mem::replace(&mut self.state, State::Ended) else { return };
        if let Ok(Err(failed)) = body.try_get() {
            let payload = failed.into_payload();
            if !payload.is::<GeneratorExit>() {
                resume_unwind(payload);
            }
        }
    }
}

/// Starts the body: the first value is asked for.
fn start<Y: Send + 'static, S: Send + 'static>(body: &Arc<Lock<Option<Body<Y, S>>>>) -> State<Y, S> {
    let turns = Turns { asked: 1, given: 0, sent: None, closed: false };
    let link = Arc::new(Link { values: Channel::new(), turns: Lock::new(turns), leave: Event::new() });
    let (body, yielder) = (Arc::clone(body), Yielder { link: Arc::clone(&link) });
    let spawned = Builder::new().here().spawn(move || {
        let body = body.lock().take();
        if let Some(body) = body {
            body(yielder);
        }
    });
    let body = spawned.unwrap_or_else(|error| panic!("spawn: {error}"));
    State::Started { link, body, asked: true }
}

impl<Y: Send + 'static, S: Send + 'static> Iterator for Generator<Y, S> {
    type Item = Y;

    fn next(&mut self) -> Option<Y> {
        self.resume(None)
    }
}

impl<Y, S> Drop for Generator<Y, S> {
    fn drop(&mut self) {
        // The body unwinds by itself: a destructor must not wait.
        if let State::Started { link, .. } = &self.state {
            link.close();
        }
    }
}

impl<Y, S> Yielder<Y, S> {
    /// Gives a value to the consumer and waits until it asks for the next; returns what it sent, `None` if it only
    /// asked. Does not return if the consumer has closed or dropped the generator: the body unwinds from here.
    pub fn yield_(&self, value: Y) -> Option<S> {
        let given = self.link.values.put(value).is_ok();
        match self.link.wait_for_leave(given) {
            Some(sent) if given => sent,
            // A destructor of a body that unwinds already must not wait.
            _ if is_unwinding() => None,
            _ => resume_unwind(Box::new(GeneratorExit)),
        }
    }

    /// Gives all that `values` gives, one after the other.
    #[doc(alias = "yield from")]
    pub fn yield_from(&self, values: impl IntoIterator<Item = Y>) {
        values.into_iter().for_each(|value| drop(self.yield_(value)));
    }
}

impl<Y, S> Drop for Yielder<Y, S> {
    fn drop(&mut self) {
        // The body has ended, by whatever way: its consumer gets no more.
        self.link.close();
    }
}

impl<Y, S> Link<Y, S> {
    /// Asks for one more value.
    fn ask(&self, sent: Option<S>) {
        let mut turns = self.lock();
        turns.asked += 1;
        turns.sent = sent;
        self.leave.set();
    }

    /// Waits until a value is asked for beside those given; returns what was sent. `None` once it is closed, and in a
    /// coroutine that unwinds.
    fn wait_for_leave(&self, given: bool) -> Option<Option<S>> {
        self.lock().given += u64::from(given);
        while !is_unwinding() {
            {
                let mut turns = self.lock();
                if turns.closed {
                    return None;
                }
                if turns.asked > turns.given {
                    return Some(turns.sent.take());
                }
                self.leave.clear();
            }
            self.leave.wait();
        }
        None
    }

    fn close(&self) {
        self.values.close();
        self.lock().closed = true;
        self.leave.set();
    }

    fn lock(&self) -> MutexGuard<'_, Turns<S>> {
        self.turns.lock()
    }
}

/// Unwinds a body whose consumer wants no more.
struct GeneratorExit;

impl<Y, S> fmt::Debug for Generator<Y, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Unstarted(_) => "Generator(unstarted)",
            State::Started { .. } => "Generator(started)",
            State::Ended => "Generator(ended)",
        })
    }
}

impl<Y, S> fmt::Debug for Yielder<Y, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Yielder")
    }
}
