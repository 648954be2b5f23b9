//! What a connection that survives its node has on its way to Redis, and the coroutine that takes the answers.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::durable::{Flying, Next};
use super::outbox::State;
use crate::green::{Builder, sleep};
use crate::znet::conn::connection::Connection;
use crate::znet::resume::parcel::{Reached, Save, Saved};
use crate::znet::resume::state::Resume;

impl Connection {
    /// Writes all that is known, and waits for that. How many messages are handled by what Redis has then; `None` if it does not say that
    /// it has it.
    pub(crate) fn save_whole(&self) -> Option<u64> {
        let (life, begun) = {
            let mut state = self.outbox().lock();
            (state.life()?, self.begin_one(&state.whole()?))
        };
        if let Some(flying) = begun {
            let handled = flying.now.1;
            if self.take_answer(life, flying) {
                return Some(handled);
            }
        }
        self.doubt(life);
        None
    }

    /// Writes all that is known anew, but for what the handler that runs has sent. Never waits.
    pub(crate) fn save_again(&self) {
        let mut state = self.outbox().lock();
        let Some(save) = state.whole() else { return };
        drop(self.put_on_its_way(state, &save));
    }

    /// Puts on its way to Redis what is not yet. Under the lock: two that do so at a time would swap.
    pub(super) fn begin_to_save<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if self.reader_mark().is_current() {
            // It yields: what it has sent leaves.
            state.end_turn(None);
        }
        match state.next_save() {
            Some(save) => self.put_on_its_way(state, &save),
            None => state,
        }
    }

    /// As [`begin_to_save`](Self::begin_to_save), if it survives its node.
    #[cfg(feature = "redis")]
    pub(crate) fn save_now(&self) {
        let state = self.outbox().lock();
        if state.is_durable() {
            drop(self.begin_to_save(state));
        }
    }

    fn put_on_its_way<'a>(&'a self, mut state: MutexGuard<'a, State>, save: &Save) -> MutexGuard<'a, State> {
        let to_attend = match self.begin_one(save) {
            Some(flying) => state.flies(flying),
            None => state.life().filter(|life| state.doubt(*life)),
        };
        if let Some(life) = to_attend {
            drop(state);
            self.attend(life);
            state = self.outbox().lock();
        }
        state
    }

    /// `None` if Redis cannot be reached.
    fn begin_one(&self, save: &Save) -> Option<Flying> {
        let saving = self.core().talk().remote()?.save(self.id(), save)?;
        Some(Flying { now: save.now, saving })
    }

    /// Has a coroutine take the answers.
    fn attend(&self, life: u64) {
        let this = self.arc();
        let builder = Builder::new().name("durable").shielded();
        if let Err(error) = self.core().group().spawn(builder, move || this.take_answers(life)) {
            self.outbox().lock().is_unattended(life);
            self.core().log_refused(&error);
        }
    }

    /// Until nothing is on its way. Answers come in the order of what was written.
    fn take_answers(self: Arc<Self>, life: u64) {
        let mut pause = FIRST_PAUSE;
        loop {
            let next = self.outbox().lock().next_answer(life);
            match next {
                Next::Nothing => return,
                Next::Wait(flying) => {
                    if self.take_answer(life, flying) {
                        pause = FIRST_PAUSE;
                    }
                }
                Next::WriteWhole => {
                    sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    let can_save = self.core().talk().remote().is_some_and(|remote| remote.can_save());
                    let mut state = self.outbox().lock();
                    if state.is_closed() {
                        return state.is_unattended(life);
                    }
                    if can_save
                        && state.life() == Some(life)
                        && let Some(save) = state.whole()
                    {
                        drop(self.put_on_its_way(state, &save));
                    }
                }
            }
        }
    }

    /// Whether it has been written.
    fn take_answer(&self, life: u64, Flying { now, saving }: Flying) -> bool {
        match saving() {
            Saved::Yes => {
                self.let_leave(life, now);
                return true;
            }
            Saved::Moved(node) => self.was_taken_over(node),
            Saved::Unknown => self.doubt(life),
        }
        false
    }

    fn doubt(&self, life: u64) {
        if self.outbox().lock().doubt(life) {
            self.attend(life);
        }
    }

    /// Redis has so much: it may leave.
    fn let_leave(&self, life: u64, now: Reached) {
        let is_due = self.resume().is_some_and(Resume::has_much_untold);
        let tell = self.outbox().lock().saved(self.core().bounds(), life, now, is_due);
        if let Some(handled) = tell {
            self.tell_handled(handled);
        }
        self.writer().flush_or_defer();
    }
}

/// How long it waits until it tries again, while Redis does not take it: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
