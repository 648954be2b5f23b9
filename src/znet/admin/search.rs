//! Which connections are meant: `?search=`.

use crate::http::Request;

/// A part of what is shown of a connection, in any case; or its id.
pub(super) struct Search(Option<String>);

impl Search {
    pub(super) fn of(request: &Request) -> Self {
        let text = request.parameter("search").unwrap_or_default().trim().to_lowercase();
        Self(Some(text).filter(|text| !text.is_empty()))
    }

    /// Whether all are meant.
    pub(super) const fn is_any(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn is_id(&self, id: u64) -> bool {
        self.0.as_ref().is_some_and(|text| *text == id.to_string())
    }

    /// Whether this text holds it.
    pub(super) fn is_in(&self, shown: &str) -> bool {
        self.0.as_ref().is_none_or(|text| shown.to_lowercase().contains(text))
    }
}
