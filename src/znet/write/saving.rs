//! How the frames of a connection that survives its node get into Redis.

use bytes::Bytes;

use super::bounds::Bounds;
use super::durable::{Durable, Flying, Next};
use super::outbox::{Appended, Room, State};
use super::replay::Replay;
use crate::error::Result;
use crate::znet::resume::parcel::{Facts, Parcel, Save, Standing, What};

impl State {
    /// From now on frames leave once they are in Redis. Those that were sent before have left.
    pub(crate) fn begin_durable(&mut self, facts: Facts, handled: u64) -> bool {
        let Some(kept) = self.kept_mut() else { return false };
        let total = kept.total();
        match &mut kept.durable {
            Some(durable) => durable.facts = facts,
            none => *none = Some(Box::new(Durable::new((total, handled), facts))),
        }
        true
    }

    /// As [`begin_durable`](Self::begin_durable) on a node to which the connection has come: nothing of what is kept has left here.
    pub(crate) fn begin_durable_again(&mut self, facts: Facts, handled: u64) {
        if !self.begin_durable(facts, handled) {
            return;
        }
        if let Some(kept) = self.kept_mut() {
            let bytes = kept.frames.iter().map(Bytes::len).sum();
            if let Some(durable) = &mut kept.durable {
                (durable.saved, durable.released, durable.unsaved_bytes) = (0, 0, bytes);
            }
        }
    }

    #[inline]
    pub(crate) fn is_durable(&self) -> bool {
        self.kept().is_some_and(|kept| kept.durable.is_some())
    }

    fn durable(&self) -> Option<&Durable> {
        self.kept()?.durable.as_deref()
    }

    pub(super) fn durable_mut(&mut self) -> Option<&mut Durable> {
        self.kept_mut()?.durable.as_deref_mut()
    }

    /// Whether all that was sent is in Redis or on its way there, before anything that is said to it from now on.
    pub(crate) fn is_well_saved(&self) -> bool {
        self.durable().is_some_and(|durable| !durable.is_in_doubt)
    }

    /// Frames and bytes that wait for Redis.
    pub(super) fn unsaved(&self) -> (usize, usize) {
        self.kept().map_or((0, 0), Replay::unsaved)
    }

    /// Notes whether the connection's own coroutine sends the next frame.
    pub(super) fn note_sender(&mut self, is_own: impl FnOnce() -> bool) {
        if let Some(durable) = self.durable_mut() {
            durable.is_own = is_own();
        }
    }

    /// Keeps a frame that may not leave yet. Those of other coroutines are to be saved at once, those of the own one at its yield.
    ///
    /// # Errors
    ///
    /// If it is too large to be kept: it would wait for room that there will never be.
    pub(super) fn append_durable(&mut self, bounds: &Bounds, frame: Bytes) -> Result<Appended> {
        let (len, most) = (frame.len(), self.kept().map_or(0, |kept| kept.most().1));
        if len > most {
            let why = format!("a frame of {len} bytes is too large for keep_durably (ResumeBytes: {most})");
            return Err(why.into());
        }
        if self.is_away() {
            if !self.has_room_unsaved(len) {
                return Ok(Appended::Full);
            }
        } else {
            match self.room_for(bounds, len, self.unsaved().1 + len) {
                Room::Enough => {}
                Room::Full => return Ok(Appended::Full),
                Room::OverAll => return Ok(Appended::OverAll),
            }
        }
        let Some(kept) = self.kept_mut() else { return Ok(Appended::Full) };
        Ok(match kept.durable.as_deref_mut().filter(|durable| durable.is_own) {
            Some(durable) => {
                durable.own_bytes += len;
                durable.own.push(frame);
                Appended::Queued { flush: false, defer: self.defer_here() }
            }
            None => {
                kept.push_unsaved(frame);
                Appended::Queued { flush: true, defer: false }
            }
        })
    }

    /// Whether there is room for one more frame beside those that wait for Redis: they are never dropped.
    pub(super) fn has_room_unsaved(&self, len: usize) -> bool {
        let Some(kept) = self.kept().filter(|kept| kept.durable.is_some()) else { return true };
        let ((frames, bytes), (most_frames, most_bytes)) = (kept.unsaved(), kept.most());
        frames < most_frames && bytes + len <= most_bytes
    }

    /// The own coroutine yields, or its handler has returned, and so many messages are handled. `false` if that changes nothing.
    pub(crate) fn end_turn(&mut self, handled: Option<u64>) -> bool {
        let Some(kept) = self.kept_mut() else { return false };
        let Some(durable) = &mut kept.durable else { return false };
        let before = durable.handled;
        durable.handled = before.max(handled.unwrap_or(before));
        durable.own_bytes = 0;
        let changes = durable.handled > before || !durable.own.is_empty();
        let own = std::mem::take(&mut durable.own);
        own.into_iter().for_each(|frame| kept.push_unsaved(frame));
        changes
    }

    /// The connection belongs elsewhere from now on.
    pub(crate) fn set_standing(&mut self, standing: impl FnOnce() -> Standing) {
        if let Some(durable) = self.durable_mut() {
            durable.facts.standing = standing();
        }
    }

    /// What is to be saved now, if anything is.
    pub(crate) fn next_save(&mut self) -> Option<Save> {
        let kept = self.kept_mut()?;
        let (total, before, most) = (kept.total(), kept.before(), kept.most().1);
        let durable = kept.durable.as_deref_mut()?;
        let (was, now) = (durable.begun, (total, durable.handled));
        if durable.is_in_doubt || now == was {
            return None;
        }
        let at = usize::try_from(was.0.saturating_sub(before)).unwrap_or(usize::MAX);
        let part: Vec<_> = kept.frames.iter().skip(at).cloned().collect();
        let part_bytes = durable.part_bytes + part.iter().map(Bytes::len).sum::<usize>();
        // So Redis holds no more than twice what this node keeps.
        if durable.parts >= MOST_PARTS || part_bytes > most {
            return self.whole();
        }
        (durable.parts, durable.part_bytes, durable.begun) = (durable.parts + 1, part_bytes, now);
        Some(Save { now, what: What::Part(was, part) })
    }

    /// All that is known of the connection.
    pub(crate) fn whole(&mut self) -> Option<Save> {
        let kept = self.kept_mut()?;
        let (total, all) = (kept.total(), kept.clone_all());
        let durable = kept.durable.as_deref_mut()?;
        let now = (total, durable.handled);
        (durable.parts, durable.part_bytes) = (0, 0);
        (durable.begun, durable.is_in_doubt) = (now, false);
        let Facts { tokens, there, standing, luggage } = &durable.facts;
        let parcel = Parcel {
            received: durable.handled,
            tokens: tokens.clone(),
            there: *there,
            is_logged_in: standing.user.is_some(),
            is_durable: true,
            groups: standing.groups.clone(),
            kept: all,
            luggage: luggage.clone(),
        };
        Some(Save { now, what: What::Whole(parcel.encode(), standing.user.clone()) })
    }

    /// Something is on its way. The life for which a coroutine is to be begun that takes the answers, if none does.
    pub(crate) fn flies(&mut self, flying: Flying) -> Option<u64> {
        let durable = self.durable_mut()?;
        durable.flying.push_back(flying);
        let is_attended = std::mem::replace(&mut durable.is_attended, true);
        (!is_attended).then_some(durable.life)
    }

    pub(super) fn durable_of(&mut self, life: u64) -> Option<&mut Durable> {
        self.durable_mut().filter(|durable| durable.life == life)
    }

    /// There could be no such coroutine, or it ends.
    pub(crate) fn is_unattended(&mut self, life: u64) {
        if let Some(durable) = self.durable_of(life) {
            durable.is_attended = false;
        }
    }

    /// `Nothing` also for the coroutine of a life that is over.
    pub(crate) fn next_answer(&mut self, life: u64) -> Next {
        let Some(durable) = self.durable_of(life) else { return Next::Nothing };
        match durable.flying.pop_front() {
            Some(flying) => Next::Wait(flying),
            None if durable.is_in_doubt => Next::WriteWhole,
            None => {
                durable.is_attended = false;
                Next::Nothing
            }
        }
    }

    /// Which life it is.
    pub(crate) fn life(&self) -> Option<u64> {
        self.durable().map(|durable| durable.life)
    }

    /// It is not known whether Redis has what was on its way. Whether a coroutine is to be begun that sees to it.
    pub(crate) fn doubt(&mut self, life: u64) -> bool {
        let Some(durable) = self.durable_of(life) else { return false };
        durable.is_in_doubt = true;
        durable.flying.clear();
        !std::mem::replace(&mut durable.is_attended, true)
    }
}

/// Parts that follow a whole entry, at most.
const MOST_PARTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zconf::Config;
    use crate::ziface::ResumeRefusal;
    use crate::znet::resume::parcel::{Reached, Saved};

    const FRAME: usize = 100;

    /// What survives its node and keeps four frames.
    fn durable() -> (State, Bounds) {
        let mut state = State::default();
        state.start_keeping(&Bytes::new(), (4, 1000));
        // Without the token.
        drop(std::mem::take(&mut state.queue));
        assert!(state.begin_durable(Facts::of_nobody(), 0));
        (state, Bounds::new(&Config::default()))
    }

    fn append(state: &mut State, bounds: &Bounds, is_own: bool) -> Appended {
        state.note_sender(|| is_own);
        let push = |queue: &mut crate::znet::write::frame_queue::FrameQueue| {
            queue.push_packed(&vec![u8::from(is_own); FRAME].into());
            Ok(())
        };
        state.append_with(bounds, FRAME, push).unwrap()
    }

    /// What it had reached, what it reaches, and whose frames are in it.
    fn part(state: &mut State) -> Option<(Reached, Reached, Vec<u8>)> {
        match state.next_save()? {
            Save { now, what: What::Part(before, frames) } => {
                Some((before, now, frames.iter().map(|frame| frame[0]).collect()))
            }
            Save { what: What::Whole(..), .. } => panic!("a whole entry"),
        }
    }

    #[test]
    fn frames_of_a_handler_wait_for_its_end_and_others_go_before_them() {
        let (mut state, bounds) = durable();
        assert!(matches!(append(&mut state, &bounds, true), Appended::Queued { flush: false, .. }));
        assert!(part(&mut state).is_none());
        assert!(matches!(append(&mut state, &bounds, false), Appended::Queued { flush: true, .. }));
        assert_eq!(part(&mut state), Some(((0, 0), (1, 0), vec![0])));
        assert!(state.end_turn(Some(1)) && !state.end_turn(Some(1)));
        assert_eq!(part(&mut state), Some(((1, 0), (2, 1), vec![1])));
        // Nothing may leave before it is there, and what has not left cannot have come.
        let life = state.life().unwrap();
        assert_eq!((state.queue.messages(), state.messages(), state.bytes()), (0, 2, 2 * FRAME));
        assert_eq!(state.forget_received(1), Err(ResumeRefusal::BadCount));
        assert_eq!(state.saved(&bounds, life, (1, 0), false), None);
        assert_eq!((state.queue.messages(), state.messages()), (1, 2));
        assert_eq!(state.saved(&bounds, life, (2, 1), false), None);
        assert_eq!((state.queue.messages(), state.messages()), (2, 2));
        assert_eq!(state.forget_received(2), Ok(()));
        // The peer is told of it if many bytes have come.
        assert_eq!(state.saved(&bounds, life, (2, 1), true), Some(1));
        assert_eq!(state.saved(&bounds, life, (2, 1), true), None);
    }

    #[test]
    fn what_waits_for_redis_is_bounded_and_never_dropped() {
        let (mut state, bounds) = durable();
        assert!((0..4).all(|_| matches!(append(&mut state, &bounds, false), Appended::Queued { .. })));
        assert!(matches!(append(&mut state, &bounds, false), Appended::Full));
        assert!(matches!(append(&mut state, &bounds, true), Appended::Full));
        let life = state.life().unwrap();
        state.saved(&bounds, life, (1, 0), false);
        assert!(matches!(append(&mut state, &bounds, true), Appended::Queued { .. }));
        assert_eq!(part(&mut state).unwrap().1, (4, 0));
        // The first is dropped now that it has left.
        state.end_turn(None);
        assert_eq!(part(&mut state), Some(((4, 0), (5, 0), vec![1])));
        assert_eq!(state.forget_received(0), Err(ResumeRefusal::OverBound));
    }

    #[test]
    fn redis_holds_no_more_than_twice_what_is_kept() {
        let (mut state, bounds) = durable();
        let life = state.life().unwrap();
        // 1000 bytes are kept, and there may be as many in parts.
        for n in 1..=22 {
            append(&mut state, &bounds, false);
            let Some(Save { now: (total, _), what }) = state.next_save() else { panic!("{n}: nothing") };
            assert_eq!((total, matches!(what, What::Whole(..))), (n, n % 11 == 0));
            state.saved(&bounds, life, (total, 0), false);
        }
    }

    #[test]
    fn a_frame_that_could_never_be_kept_is_refused_at_once() {
        let (mut state, bounds) = durable();
        for is_own in [true, false] {
            state.note_sender(|| is_own);
            let push = |queue: &mut crate::znet::write::frame_queue::FrameQueue| {
                queue.push_packed(&vec![0; 1001].into());
                Ok(())
            };
            let why = state.append_with(&bounds, 1001, push).err().map(|error| error.to_string());
            let expected = "a frame of 1001 bytes is too large for keep_durably (ResumeBytes: 1000)";
            assert_eq!((why.as_deref(), state.messages()), (Some(expected), 0));
        }
    }

    #[test]
    fn in_doubt_all_is_written_again_and_answers_of_an_earlier_life_say_nothing() {
        let (mut state, bounds) = durable();
        append(&mut state, &bounds, false);
        let Save { now, .. } = state.next_save().unwrap();
        let life = state.life().unwrap();
        assert_eq!(state.flies(Flying { now, saving: Box::new(|| Saved::Unknown) }), Some(life));
        assert!(matches!(state.next_answer(life), Next::Wait(_)) && !state.doubt(life));
        append(&mut state, &bounds, false);
        assert!(state.next_save().is_none() && !state.is_well_saved());
        assert!(matches!(state.next_answer(life), Next::WriteWhole));
        let Some(Save { now: (2, 0), what: What::Whole(parcel, None) }) = state.whole() else {
            panic!("all of it")
        };
        assert!(parcel.len() > 2 * FRAME && state.is_well_saved());
        // It ends, and begins again.
        state.end_durable(&bounds);
        assert_eq!((state.queue.messages(), state.is_durable()), (2, false));
        assert!(state.begin_durable(Facts::of_nobody(), 0));
        append(&mut state, &bounds, false);
        assert_eq!(state.saved(&bounds, life, (3, 0), false), None);
        assert!(!state.doubt(life) && matches!(state.next_answer(life), Next::Nothing));
        assert_eq!(state.queue.messages(), 2);
    }
}
