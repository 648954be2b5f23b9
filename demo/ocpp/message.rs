//! The messages of OCPP-J: arrays of JSON. See chapter 4 of its specification.

use serde_json::{Value, json};

/// One message.
pub(crate) enum OcppMessage {
    /// `[2, id, action, payload]`: asks for something.
    Call { id: String, action: String, payload: Value },
    /// `[3, id, payload]`: the answer.
    Result { payload: Value },
    /// `[4, id, code, description, details]`: why there is none.
    Error { code: String, description: String },
}

impl OcppMessage {
    /// Reads one; `None` if it is none.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let parts: Vec<Value> = serde_json::from_slice(text).ok()?;
        let word = |at: usize| parts.get(at).and_then(Value::as_str).map(String::from);
        match parts.first()?.as_u64()? {
            2 => Some(Self::Call { id: word(1)?, action: word(2)?, payload: parts.get(3)?.clone() }),
            3 => Some(Self::Result { payload: parts.get(2)?.clone() }),
            4 => Some(Self::Error { code: word(2)?, description: word(3).unwrap_or_default() }),
            _ => None,
        }
    }
}

pub(crate) fn call(id: u64, action: &str, payload: &Value) -> String {
    json!([2, id.to_string(), action, payload]).to_string()
}

pub(crate) fn result(id: &str, payload: &Value) -> String {
    json!([3, id, payload]).to_string()
}

pub(crate) fn error(id: &str, code: &str, description: &str) -> String {
    json!([4, id, code, description, {}]).to_string()
}

/// Which question of ours a message answers. One that answers none is told from all.
pub(crate) fn answers(text: &[u8]) -> u64 {
    let parts: Vec<Value> = serde_json::from_slice(text).unwrap_or_default();
    let is_answer = matches!(parts.first().and_then(Value::as_u64), Some(3 | 4));
    let number = parts.get(1).and_then(Value::as_str).and_then(|id| id.parse().ok());
    if is_answer { number.unwrap_or(u64::MAX) } else { u64::MAX }
}
