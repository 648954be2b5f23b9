//! From the interceptors to the handler of the request.

use std::any::Any;

use super::request::Request;
use crate::error::Result;
use crate::green::contain;
use crate::ziface::sealed::Closed;
use crate::ziface::{IChain, IInterceptor, IMessage, IRequest};
use crate::znet::conn::connection::Connection;
use crate::znet::route::dispatch::dispatch;
use crate::zpack::new_message;

/// Passes a request that was read on to the interceptors, and to the worker or reader that handles it.
pub(crate) fn pass_on(conn: &Connection, request: Request) {
    let left = conn.core().handler().interceptors();
    if left.is_empty() && conn.tasks().worker().is_some() {
        return conn.queue_read(request);
    }
    let msg_id = request.get_msg_id();
    let passed_on = contain(|| {
        let chain = Chain { conn, left, request: &request };
        if let Err(error) = chain.pass_on(&request) {
            conn.answer_or_log_error(msg_id, &error);
        }
    });
    if let Err(words) = passed_on {
        conn.end_after_panic(msg_id, &words);
    }
}

/// Whether requests need not be passed on: no interceptor, no worker.
pub(crate) fn handles_directly(conn: &Connection) -> bool {
    conn.tasks().worker().is_none() && conn.core().handler().interceptors().is_empty()
}

/// A request that is to pass the interceptors that are left.
struct Chain<'a> {
    conn: &'a Connection,
    left: &'a [Box<dyn IInterceptor>],
    request: &'a Request,
}

impl Chain<'_> {
    fn pass_on(&self, request: &Request) -> Result<()> {
        match self.left.split_first() {
            Some((first, left)) => first.intercept(&Chain { left, request, ..*self }),
            None if self.conn.tasks().worker().is_some() => {
                self.conn.queue_read(request.with_message(request.message().clone()));
                Ok(())
            }
            None => {
                dispatch(self.conn, request);
                Ok(())
            }
        }
    }
}

impl Closed for Chain<'_> {}

impl IChain for Chain<'_> {
    fn request(&self) -> &dyn IRequest {
        self.request
    }

    fn proceed(&self, request: &dyn IRequest) -> Result<()> {
        self.pass_on(own(request))
    }

    fn proceed_with_imessage(&self, message: &dyn IMessage, request: &dyn IRequest) -> Result<()> {
        let value = message.get_value();
        let message = new_message(message.get_msg_id(), message.get_data().clone()).carrying(value);
        self.pass_on(&own(request).with_message(message))
    }
}

fn own(request: &dyn IRequest) -> &Request {
    let request: &dyn Any = request;
    request.downcast_ref().expect("the trait is sealed: no other type implements it")
}
