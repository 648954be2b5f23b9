//! Generators: a body that yields values, one at a time, to whoever asks for the next.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;

use super::{Channel, Greenlet, is_unwinding, spawn};

/// A body that yields values to a `for` loop. It runs only while its consumer waits for a value.
///
/// The body is a coroutine of its own, begun with the first value asked for: it may wait on anything meanwhile, and it
/// takes a stack, but no thread. Where it returns, the loop ends; a panic goes on in the consumer. Dropped or
/// [closed](Self::close) before its end, the body unwinds at the `yield_` it is in, and its destructors run.
///
/// The contract of [`spawn`] holds for the body.
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
    Unstarted(Body<Y, S>),
    Started(Arc<Link<Y, S>>, Greenlet<()>),
    Ended,
}

type Body<Y, S> = Box<dyn FnOnce(Yielder<Y, S>) + Send>;

/// Consumer and body take turns: values one way, leave to go on the other.
struct Link<Y, S> {
    values: Channel<Y>,
    leave: Channel<Option<S>>,
}

impl<Y: Send + 'static, S: Send + 'static> Generator<Y, S> {
    /// A generator that has not begun: `body` runs with the first value asked for.
    pub fn new(body: impl FnOnce(&Yielder<Y, S>) + Send + 'static) -> Self {
        Self { state: State::Unstarted(Box::new(move |yielder| body(&yielder))) }
    }

    /// Goes on with the body, where `yield_` returns `Some(value)`; returns what it yields next. `None` where it has
    /// ended: the value is dropped.
    ///
    /// # Panics
    ///
    /// Where the body has not begun: no `yield_` waits for the value. Call `next` first. A panic of the body goes on here.
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
        if let State::Started(link, body) = std::mem::replace(&mut self.state, State::Ended) {
            link.close();
            if !is_unwinding() {
                finish(body);
            }
        }
    }

    fn resume(&mut self, sent: Option<S>) -> Option<Y> {
        if is_unwinding() {
            return None;
        }
        match &self.state {
            State::Unstarted(_) => self.start(),
            // Refused where the body has ended, which the next line finds out.
            State::Started(link, _) => drop(link.leave.put(sent)),
            State::Ended => return None,
        }
        let State::Started(link, _) = &self.state else { return None };
        let value = link.values.get();
        if value.is_none()
            && let State::Started(_, body) = std::mem::replace(&mut self.state, State::Ended)
        {
            finish(body);
        }
        value
    }

    fn start(&mut self) {
        let State::Unstarted(body) = std::mem::replace(&mut self.state, State::Ended) else { return };
        let link = Arc::new(Link { values: Channel::new(), leave: Channel::new() });
        let yielder = Yielder { link: Arc::clone(&link) };
        self.state = State::Started(link, spawn(move || body(yielder)));
    }
}

impl<Y: Send + 'static, S: Send + 'static> Iterator for Generator<Y, S> {
    type Item = Y;

    fn next(&mut self) -> Option<Y> {
        self.resume(None)
    }
}

impl<Y, S> Drop for Generator<Y, S> {
    fn drop(&mut self) {
        // The body unwinds by itself: a destructor waits for nobody.
        if let State::Started(link, _) = &self.state {
            link.close();
        }
    }
}

impl<Y, S> Yielder<Y, S> {
    /// Gives a value to the consumer and waits until it asks for the next; returns what it sent, `None` where it only
    /// asked. Does not return where the consumer has closed or dropped the generator: the body unwinds from here.
    pub fn yield_(&self, value: Y) -> Option<S> {
        let given = self.link.values.put(value).is_ok();
        match self.link.leave.get() {
            Some(sent) if given => sent,
            // A destructor of a body that unwinds already has nobody to wait for.
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
    fn close(&self) {
        self.values.close();
        self.leave.close();
    }
}

/// Waits for the end of a body; a panic of its own goes on in the caller.
fn finish(body: Greenlet<()>) {
    if let Err(panicked) = body.get() {
        let payload = panicked.into_payload();
        if !payload.is::<GeneratorExit>() {
            resume_unwind(payload);
        }
    }
}

/// Unwinds a body whose consumer wants no more.
struct GeneratorExit;

impl<Y, S> fmt::Debug for Generator<Y, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Unstarted(_) => "Generator(unstarted)",
            State::Started(..) => "Generator(started)",
            State::Ended => "Generator(ended)",
        })
    }
}

impl<Y, S> fmt::Debug for Yielder<Y, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Yielder")
    }
}
