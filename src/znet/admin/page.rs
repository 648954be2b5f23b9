//! Which part of a list is asked for: `?limit=` and `?offset=`.

use std::str::FromStr;

use serde::Serialize;

use crate::http::{Request, Response};

/// A part of a list.
#[derive(Clone, Copy)]
pub(super) struct Page {
    offset: usize,
    limit: usize,
}

/// A part of a list, with how long the list is.
#[derive(Serialize)]
pub(super) struct Part<T> {
    /// Entries that match what was asked.
    matched: usize,
    offset: usize,
    limit: usize,
    entries: Vec<T>,
}

impl Page {
    /// Reads the request, whose other parameters may be those `known`.
    ///
    /// # Errors
    ///
    /// The error response, if the request has other parameters or a number that is none.
    pub(super) fn of(request: &Request, known: &[&str]) -> Result<Self, Response> {
        let is_unknown = |name: &&str| !known.contains(name) && !["limit", "offset"].contains(name);
        if let Some(unknown) = request.parameter_names().find(is_unknown) {
            return Err(Response::error(400, format!("{} takes no parameter {unknown:?}", request.path())));
        }
        let limit = number(request, "limit")?.unwrap_or(DEFAULT_LIMIT);
        if limit > MAX_LIMIT {
            return Err(Response::error(400, format!("limit: found {limit}, expected at most {MAX_LIMIT}")));
        }
        Ok(Self { offset: number(request, "offset")?.unwrap_or(0), limit })
    }

    /// This part of a list, each entry made by `make`.
    pub(super) fn part<S, T>(self, all: &[S], make: impl FnMut(&S) -> T) -> Part<T> {
        let entries = all.iter().skip(self.offset).take(self.limit).map(make).collect();
        Part { matched: all.len(), offset: self.offset, limit: self.limit, entries }
    }
}

/// A parameter that is a number.
///
/// # Errors
///
/// The error response, if its value is no number.
pub(super) fn number<N: FromStr>(request: &Request, name: &str) -> Result<Option<N>, Response> {
    let Some(text) = request.parameter(name) else { return Ok(None) };
    let number = text
        .parse()
        .map_err(|_| Response::error(400, format!("{name}: found {text:?}, expected a number")))?;
    Ok(Some(number))
}

/// The answer, whether it went well or not.
pub(super) fn answered(outcome: Result<Response, Response>) -> Response {
    outcome.unwrap_or_else(|refused| refused)
}

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 10_000;
