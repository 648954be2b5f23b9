//! A thread that asks the admin plane, so that keys are heard while a server does not answer.

#![expect(clippy::disallowed_types, reason = "a plain thread that has nothing else to do")]

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::look::{Look, View};
use crate::plane::{Plane, ask};

/// What the admin plane is asked for.
#[derive(Clone, Copy)]
pub(super) enum Question {
    Look(View),
    Kick(u64),
}

pub(super) enum Answer {
    Look(View, Result<Look, String>),
    Kick(Result<(), String>),
}

/// Asks one question after the other. At the end the process does not wait for it.
pub(super) struct Asker {
    questions: Sender<Question>,
    answers: Receiver<Answer>,
    /// Questions without an answer.
    open: usize,
}

impl Asker {
    pub(super) fn begin(plane: Plane) -> io::Result<Self> {
        let (questions, asked) = channel();
        let (tell, answers) = channel();
        let work = move || {
            for question in asked {
                let answer = match question {
                    Question::Look(view) => Answer::Look(view, Look::at(&plane, view)),
                    Question::Kick(id) => {
                        Answer::Kick(ask(&plane, "POST", &format!("/connz/{id}/kick")).map(drop))
                    }
                };
                if tell.send(answer).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("admin plane".to_string()).spawn(work)?;
        Ok(Self { questions, answers, open: 0 })
    }

    pub(super) fn ask(&mut self, question: Question) {
        self.open += usize::from(self.questions.send(question).is_ok());
    }

    /// The next answer that has come.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        self.open -= 1;
        Some(answer)
    }

    /// Whether a question has no answer yet.
    pub(super) const fn is_busy(&self) -> bool {
        self.open > 0
    }
}
