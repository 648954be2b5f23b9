//! The requests to other nodes that wait for an answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::entry::Said;
use crate::green::Queue;
use crate::lock::Lock;

/// The requests that wait, by number.
#[derive(Default)]
pub(super) struct Requests {
    next: AtomicU64,
    waiting: Lock<HashMap<u64, Arc<Queue<Said>>>>,
}

impl Requests {
    /// A request that waits from now on, until it is dropped.
    pub(super) fn begin(&self) -> Request<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let answers = Arc::new(Queue::unbounded());
        self.waiting.lock().insert(number, Arc::clone(&answers));
        Request { requests: self, number, answers }
    }

    /// Gives an answer to its request, if that still waits.
    pub(super) fn answer(&self, number: u64, said: Said) {
        let waiting = self.waiting.lock().get(&number).cloned();
        if let Some(answers) = waiting {
            // There is always room.
            let _ = answers.try_put(said);
        }
    }
}

/// A request that waits for its answers.
pub(super) struct Request<'a> {
    requests: &'a Requests,
    pub(super) number: u64,
    answers: Arc<Queue<Said>>,
}

impl Request<'_> {
    /// The next answer. `None` if there is none within so long.
    pub(super) fn wait(&self, limit: Duration) -> Option<Said> {
        self.answers.get_timeout(limit).ok()
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.requests.waiting.lock().remove(&self.number);
    }
}
