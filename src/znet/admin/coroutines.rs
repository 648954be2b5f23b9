//! The coroutines of the process, and what each waits for.

use std::collections::BTreeMap;

use serde::Serialize;

use super::page::{Page, Part, answered};
use crate::green::{self, Coroutine};
use crate::http::{Request, Response};

#[derive(Serialize)]
struct Coroutines {
    /// How many of each kind do what, the most first.
    kinds: Vec<Kind>,
    coroutines: Part<Row>,
}

#[derive(Serialize)]
struct Kind {
    /// The name, `N` for the number in it.
    name: String,
    does: &'static str,
    count: usize,
}

#[derive(Serialize)]
struct Row {
    id: u64,
    name: String,
    does: &'static str,
}

/// The answer to `/greenz`.
pub(super) fn list(request: &Request) -> Response {
    answered(Page::of(request, &["name"]).map(|page| {
        let part = request.parameter("name").unwrap_or_default();
        let mut all = green::coroutines();
        all.retain(|one| one.name().contains(part));
        Response::json(&Coroutines { kinds: kinds(&all), coroutines: page.part(&all, row) })
    }))
}

fn row(one: &Coroutine) -> Row {
    Row { id: one.id(), name: one.name().into_owned(), does: one.activity() }
}

fn kinds(all: &[Coroutine]) -> Vec<Kind> {
    let mut counts = BTreeMap::<_, usize>::new();
    for one in all {
        let name = one.name();
        let kind = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let kind = if kind.len() < name.len() { format!("{kind}N") } else { kind.to_string() };
        *counts.entry((kind, one.activity())).or_default() += 1;
    }
    let kind = |((name, does), count)| Kind { name, does, count };
    let mut kinds: Vec<_> = counts.into_iter().map(kind).collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    kinds.truncate(MOST_KINDS);
    kinds
}

/// A program may give each coroutine a name of its own.
const MOST_KINDS: usize = 1000;
