//! Waiting for, and ending, several coroutines at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::green::runtime::fair;
use crate::green::sync::select::{Watch, first_ready, wait_for_any};
use crate::green::{Coroutine, Failed, Greenlet, Queue, Until};

/// Waits for all and takes their values, in the order given.
///
/// # Errors
///
/// The earliest [`Failed`], as soon as one panics or is killed; the others go on.
///
/// # Examples
///
/// ```
/// use zinx::green;
///
/// let squares = green::joinall((0..4).map(|n| green::spawn(move || n * n)));
/// assert_eq!(squares.unwrap(), [0, 1, 4, 9]);
/// ```
pub fn joinall<T: 'static>(greenlets: impl IntoIterator<Item = Greenlet<T>>) -> Result<Vec<T>, Failed> {
    let mut ending = iwait(greenlets);
    let mut values: Vec<Option<T>> = (0..ending.left()).map(|_| None).collect();
    while let Some((at, ended)) = ending.next_ended() {
        values[at] = Some(ended.get()?);
    }
    Ok(values.into_iter().flatten().collect())
}

/// Waits for all, at most for `timeout`. `false` if one still runs. Takes no value.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::green::{self, Event};
///
/// let stuck = [green::spawn(|| Event::new().wait())];
/// assert!(!green::joinall_timeout(&stuck, Duration::from_millis(1)));
/// green::killall(&stuck);
/// assert!(green::joinall_timeout(&stuck, Duration::ZERO));
/// ```
pub fn joinall_timeout<T>(greenlets: &[Greenlet<T>], timeout: Duration) -> bool {
    let until = Until::after(timeout);
    greenlets.iter().all(|greenlet| greenlet.join_timeout(until.left().unwrap_or(Duration::MAX)))
}

/// Ends all, and waits until they have ended: see [`Coroutine::kill`].
pub fn killall<T>(greenlets: &[Greenlet<T>]) {
    let asked: Vec<_> = greenlets.iter().map(Greenlet::coroutine).filter(|one| one.ask_to_end()).collect();
    asked.into_iter().for_each(Coroutine::join);
}

/// As [`killall`], waiting at most for `timeout` for all of them together. `false` if some still run; they are killed all the
/// same. [`Duration::ZERO`] only asks.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::green::{self, Event};
///
/// let stuck = [green::spawn(|| Event::new().wait())];
/// assert!(green::killall_timeout(&stuck, Duration::from_secs(5)));
/// ```
pub fn killall_timeout<T>(greenlets: &[Greenlet<T>], timeout: Duration) -> bool {
    let until = Until::after(timeout);
    let asked: Vec<_> = greenlets.iter().map(Greenlet::coroutine).filter(|one| one.ask_to_end()).collect();
    asked.into_iter().all(|one| one.join_timeout(until.left().unwrap_or(Duration::MAX)))
}

/// Iterates over coroutines in the order in which they end. Dropped early, it lets the others go on.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use zinx::green;
///
/// let sleepers = [20, 1].map(|n| green::spawn(move || {
///     green::sleep(Duration::from_millis(n));
///     n
/// }));
/// let order: Vec<u64> = green::iwait(sleepers).map(|ended| ended.get().unwrap()).collect();
/// assert_eq!(order, [1, 20]);
/// ```
pub fn iwait<T: 'static>(greenlets: impl IntoIterator<Item = Greenlet<T>>) -> IWait<T> {
    let mut ending = IWait::new();
    greenlets.into_iter().for_each(|greenlet| ending.push(greenlet));
    ending
}

/// Coroutines in the order in which they end: see [`iwait`].
#[derive(Debug)]
pub struct IWait<T> {
    /// Those not taken yet, by the number under which they came.
    greenlets: BTreeMap<usize, Greenlet<T>>,
    ended: Arc<Queue<usize>>,
    next: usize,
}

impl<T: 'static> IWait<T> {
    pub(super) fn new() -> Self {
        Self { greenlets: BTreeMap::new(), ended: Arc::new(Queue::unbounded()), next: 0 }
    }

    /// Waits for one more.
    pub(super) fn push(&mut self, greenlet: Greenlet<T>) {
        let (at, ended) = (self.next, Arc::clone(&self.ended));
        // An unbounded queue takes everything until it is closed, and this one never is.
        greenlet.on_exit(move |_| {
            let _ = ended.try_put(at);
        });
        self.greenlets.insert(at, greenlet);
        self.next += 1;
    }

    /// How many have not been taken yet, ended or not.
    pub(super) fn left(&self) -> usize {
        self.greenlets.len()
    }

    fn next_ended(&mut self) -> Option<(usize, Greenlet<T>)> {
        if self.greenlets.is_empty() {
            return None;
        }
        let at = self.ended.get()?;
        self.greenlets.remove(&at).map(|greenlet| (at, greenlet))
    }
}

impl<T: 'static> Iterator for IWait<T> {
    type Item = Greenlet<T>;

    fn next(&mut self) -> Option<Greenlet<T>> {
        self.next_ended().map(|(_, greenlet)| greenlet)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left(), Some(self.left()))
    }
}

/// Waits until one of `things` is ready and says which, the first of several; takes nothing from any.
///
/// Things are coroutines, events, queues, semaphores: whatever can be waited for beside others. To take what is ready,
/// at once and from one only, is [`Select`](crate::green::Select). With no things at all it waits forever.
///
/// # Examples
///
/// ```
/// use zinx::green::{self, Event, Queue};
///
/// let (event, queue) = (Event::new(), Queue::bounded(1));
/// let seven = green::spawn(|| 7);
/// queue.put(1).unwrap();
/// assert_eq!(green::wait_any(&[&event, &queue]), 1);
/// assert_eq!(green::wait_any(&[&event, &seven]), 1);
/// ```
///
/// # Panics
///
/// In a destructor that runs while its coroutine unwinds, if nothing is ready: nothing waits then. Call
/// [`wait_any_timeout`] there.
#[doc(alias = "wait")]
pub fn wait_any(things: &[&dyn Watch]) -> usize {
    wait_any_until(things, Until::never())
        .expect("nothing is ready, and a destructor does not wait while its coroutine unwinds")
}

/// As [`wait_any`], at most for `timeout`. `None` if nothing was ready in time.
pub fn wait_any_timeout(things: &[&dyn Watch], timeout: Duration) -> Option<usize> {
    wait_any_until(things, Until::after(timeout))
}

fn wait_any_until(things: &[&dyn Watch], until: Until) -> Option<usize> {
    fair::fairness_point();
    loop {
        let left = until.to_wait();
        if let Some(at) = first_ready(things) {
            return Some(at);
        }
        wait_for_any(things, left?);
    }
}
