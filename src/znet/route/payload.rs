//! Typed payloads: text, JSON and protobuf, the last two behind features; and what happens to a wrong one.

use super::bad_payload::BadPayload;
use crate::error::{Error, Result};
#[cfg(any(feature = "json", feature = "protobuf"))]
use crate::ziface::IConnection;
use crate::ziface::{CloseReason, IMessage, IRequest, SendWait};
use crate::znet::conn::connection::Connection;
#[cfg(any(feature = "json", feature = "protobuf"))]
use crate::znet::people::groups::{Broadcast, Group};
use crate::znet::server::server::Server;
use crate::zpack::Message;

impl Server {
    /// Says what happens to a message whose handler returns the [`BadPayload`](Error::BadPayload) that `text`, `json` or
    /// `proto` of [`IRequest`] gave it.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyStarted`] the second time.
    pub fn set_bad_payload(&self, policy: BadPayload) -> Result<()> {
        let set = self.core().talk().bad_payload.set(policy);
        set.map_err(|_| Error::AlreadyStarted { what: "set the policy for bad payloads" })
    }
}

impl dyn IRequest + '_ {
    /// The payload, read as text.
    ///
    /// # Errors
    ///
    /// [`Error::BadPayload`] with the message id if it is not UTF-8; returned from the handler with `?`, the policy of
    /// [`set_bad_payload`](crate::Server::set_bad_payload) acts.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// fn greet(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let name = request.text()?.trim();
    ///     request.get_connection().send_msg(2, format!("hello, {name}"))
    /// }
    /// ```
    #[doc(alias = "decode")]
    pub fn text(&self) -> Result<&str> {
        read_text(self.get_msg_id(), self.get_data())
    }

    /// The payload, read as JSON. Feature `json`.
    ///
    /// Lists and objects may be nested 64 deep: a type that holds itself takes stack for each level, and the peer chooses
    /// how many.
    ///
    /// # Errors
    ///
    /// [`Error::BadPayload`] with the message id and the reason; returned from the handler with `?`, the policy of
    /// [`set_bad_payload`](crate::Server::set_bad_payload) acts.
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use zinx::prelude::*;
    ///
    /// #[derive(Deserialize, Serialize)]
    /// struct Point { x: i32, y: i32 }
    ///
    /// fn mirror(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let Point { x, y } = request.json()?;
    ///     request.get_connection().send_json(2, &Point { x: -x, y })
    /// }
    /// ```
    #[cfg(feature = "json")]
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        read_json(self.get_msg_id(), self.get_data())
    }

    /// The payload, read as a message of protobuf. Feature `protobuf`.
    ///
    /// # Errors
    ///
    /// [`Error::BadPayload`] with the message id and the reason; returned from the handler with `?`, the policy of
    /// [`set_bad_payload`](crate::Server::set_bad_payload) acts.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// #[derive(Clone, PartialEq, prost::Message)]
    /// struct Position {
    ///     #[prost(sint32, tag = "1")]
    ///     x: i32,
    /// }
    ///
    /// fn mirror(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let position: Position = request.proto()?;
    ///     request.get_connection().send_proto(2, &Position { x: -position.x })
    /// }
    /// ```
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    pub fn proto<T: prost::Message + Default>(&self) -> Result<T> {
        read_proto(self.get_msg_id(), self.get_data())
    }
}

/// What `recv`, `ask` and `call` give is read like a request.
impl Message {
    /// The payload, read as text.
    ///
    /// # Errors
    ///
    /// [`Error::BadPayload`] with the message id if it is not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use zinx::prelude::*;
    ///
    /// fn ask_name(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let conn = request.get_connection();
    ///     let answer = conn.call(10, "your name?", 11, Duration::from_secs(30))?;
    ///     conn.send_msg(12, format!("hello, {}", answer.text()?))
    /// }
    /// ```
    pub fn text(&self) -> Result<&str> {
        read_text(self.get_msg_id(), self.get_data())
    }

    /// The payload, read as JSON; see [`IRequest`]'s. Feature `json`.
    ///
    /// # Errors
    ///
    /// [`Error::BadPayload`] with the message id and the reason.
    #[cfg(feature = "json")]
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        read_json(self.get_msg_id(), self.get_data())
    }

    /// The payload, read as a message of protobuf. Feature `protobuf`.
    ///
    /// # Errors
    ///
    /// [`Error::BadPayload`] with the message id and the reason.
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    pub fn proto<T: prost::Message + Default>(&self) -> Result<T> {
        read_proto(self.get_msg_id(), self.get_data())
    }
}

#[cfg(feature = "json")]
impl dyn IConnection {
    /// Sends a value as JSON. Feature `json`.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] if the value has no JSON form, and those of [`send_msg`](#method.send_msg).
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn send_json<T: serde::Serialize + ?Sized>(&self, msg_id: u32, value: &T) -> Result<()> {
        self.send_msg(msg_id, serde_json::to_vec(value)?)
    }
}

#[cfg(feature = "protobuf")]
impl dyn IConnection {
    /// Sends a message of protobuf. Feature `protobuf`.
    ///
    /// # Errors
    ///
    /// Those of [`send_msg`](#method.send_msg).
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    pub fn send_proto<T: prost::Message>(&self, msg_id: u32, message: &T) -> Result<()> {
        self.send_msg(msg_id, message.encode_to_vec())
    }
}

#[cfg(feature = "json")]
impl Group {
    /// As [`broadcast`](Self::broadcast), of a value as JSON. Feature `json`.
    ///
    /// To leave one out, or to choose: [`broadcast_except`](Self::broadcast_except) and
    /// [`broadcast_if`](Self::broadcast_if) with `serde_json::to_vec(value)?`.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] if the value has no JSON form, and those of [`broadcast`](Self::broadcast). Then no member is
    /// sent anything.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// fn who(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let conn = request.get_connection();
    ///     conn.get_group("lobby").broadcast_json(7, &conn.sessions().users())?;
    ///     Ok(())
    /// }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn broadcast_json<T: serde::Serialize + ?Sized>(&self, msg_id: u32, value: &T) -> Result<Broadcast> {
        self.broadcast(msg_id, serde_json::to_vec(value)?)
    }
}

#[cfg(feature = "protobuf")]
impl Group {
    /// As [`broadcast`](Self::broadcast), of a message of protobuf. Feature `protobuf`.
    ///
    /// # Errors
    ///
    /// Those of [`broadcast`](Self::broadcast).
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    pub fn broadcast_proto<T: prost::Message>(&self, msg_id: u32, message: &T) -> Result<Broadcast> {
        self.broadcast(msg_id, message.encode_to_vec())
    }
}

pub(crate) fn read_text(msg_id: u32, data: &[u8]) -> Result<&str> {
    std::str::from_utf8(data).map_err(|error| bad_payload(msg_id, &error))
}

#[cfg(feature = "json")]
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(msg_id: u32, data: &[u8]) -> Result<T> {
    if is_nested_deeper(data, MAX_JSON_DEPTH) {
        return Err(bad_payload(msg_id, &format_args!("nested more than {MAX_JSON_DEPTH} deep")));
    }
    serde_json::from_slice(data).map_err(|error| bad_payload(msg_id, &error))
}

#[cfg(feature = "protobuf")]
pub(crate) fn read_proto<T: prost::Message + Default>(msg_id: u32, data: &[u8]) -> Result<T> {
    T::decode(data).map_err(|error| bad_payload(msg_id, &error))
}

/// Whether lists and objects are nested deeper than `most`, as far as this is JSON.
#[cfg(feature = "json")]
fn is_nested_deeper(json: &[u8], most: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_text(&mut bytes),
            b'[' | b'{' if depth == most => return true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Takes what is left of a text in quotes.
#[cfg(feature = "json")]
fn skip_text(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

fn bad_payload(msg_id: u32, error: &dyn std::fmt::Display) -> Error {
    // It may repeat what the peer has sent, and goes into the log: one line, of bounded length.
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    Error::BadPayload { msg_id, reason: error.to_string().chars().take(MAX_REASON).map(printable).collect() }
}

impl Connection {
    /// Does what the policy says about an error that a handler has returned. `false` if it is to be logged.
    pub(crate) fn answer_bad_payload(&self, error: &Error) -> bool {
        let Error::BadPayload { msg_id, reason } = error else { return false };
        match self.core().talk().bad_payload.get() {
            None | Some(BadPayload::Log) => false,
            Some(BadPayload::Answer { msg_id }) => {
                // If the peer does not read, it cannot be told.
                let _ = self.send(*msg_id, error.to_string().into(), SendWait::Never);
                true
            }
            Some(BadPayload::Close) => {
                self.stop_because(CloseReason::BadPayload { msg_id: *msg_id, reason: reason.clone() });
                true
            }
        }
    }
}

#[cfg(feature = "json")]
const MAX_JSON_DEPTH: usize = 64;

/// Characters of what is wrong with a payload that are told.
const MAX_REASON: usize = 200;

#[cfg(all(test, feature = "json"))]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_counted_outside_of_texts() {
        for (json, depth) in [
            ("", 0),
            ("7", 0),
            ("[]", 1),
            ("[[],{},[]]", 2),
            (r#"{"a":{"b":[1,"[[[["]}}"#, 3),
            (r#"["\"[[[[",[]]"#, 2),
            (r#"["\\",[[]]]"#, 3),
            (r#"[["[[[["#, 2),
            ("]]]][", 1),
        ] {
            assert!(!is_nested_deeper(json.as_bytes(), depth), "{json}");
            assert!(depth == 0 || is_nested_deeper(json.as_bytes(), depth - 1), "{json}");
        }
    }
}
