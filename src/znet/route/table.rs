//! The routers of a server, by message id.

use super::login_gate::LoginGate;
use super::request::Request;
use super::route::Route;
use super::workers::WorkerPool;
use crate::error::{Error, Result};
use crate::green::drop_each;
use crate::lock::Lock;
use crate::zconf::Config;
use crate::ziface::sealed::Sealed;
use crate::ziface::{IInterceptor, IMsgHandler, IRequest, IRouter, RouterHandler};
use crate::znet::tutorial;
use std::any::Any;
use std::sync::{Arc, OnceLock};

/// The routers of a server. Collected until the server starts, then sorted and frozen, so that a look-up takes no lock.
pub(crate) struct MsgHandler {
    collected: Lock<Table>,
    frozen: OnceLock<Table>,
    workers: WorkerPool,
}

#[derive(Default)]
struct Table {
    /// Sorted by id.
    routes: Vec<(u32, Route)>,
    not_found: Option<Route>,
    /// In front of the slices added next.
    used: Vec<RouterHandler>,
    interceptors: Vec<Box<dyn IInterceptor>>,
    /// Put before their routes when the table is frozen; kept for ids without one.
    gates: Vec<LoginGate>,
}

/// What the program has set is dropped with the last handle of its server.
impl Drop for Table {
    fn drop(&mut self) {
        drop_each(self.routes.drain(..).map(|(_, route)| route));
        drop_each(self.not_found.take());
        drop_each(self.used.drain(..));
        drop_each(self.interceptors.drain(..));
    }
}

impl Table {
    fn close_gates(mut self) -> Self {
        for gate in &self.gates {
            let routes = std::mem::take(&mut self.routes);
            self.routes = routes.into_iter().map(|(id, route)| (id, gate.before(id, route))).collect();
        }
        self
    }

    fn find(&self, msg_id: u32) -> Option<&Route> {
        let at = self.routes.binary_search_by_key(&msg_id, |(id, _)| *id).ok()?;
        Some(&self.routes[at].1)
    }

    fn add(&mut self, msg_id: u32, route: Route) -> Result<()> {
        match self.routes.binary_search_by_key(&msg_id, |(id, _)| *id) {
            Ok(_) => Err(Error::RepeatedRouter { msg_id }),
            Err(at) => {
                self.routes.insert(at, (msg_id, route));
                tutorial::say(format_args!("[ROUTER] message id {msg_id} added"));
                Ok(())
            }
        }
    }
}

/// The route of a request.
pub(crate) enum Found<'a> {
    /// That of its id.
    Known(&'a Route),
    /// The one it was given.
    Bound(Arc<Route>),
    /// Its id has none: the not-found route.
    Unknown(Option<&'a Route>),
}

impl Found<'_> {
    /// Runs what is left of it.
    pub(crate) fn run(&self, request: &Request) -> Result<()> {
        match self {
            Self::Known(route) | Self::Unknown(Some(route)) => route.run(request),
            Self::Bound(route) => route.run(request),
            Self::Unknown(None) => Ok(()),
        }
    }
}

impl MsgHandler {
    pub(crate) fn new(config: &Config) -> Self {
        Self { collected: Lock::default(), frozen: OnceLock::new(), workers: WorkerPool::new(config) }
    }

    pub(crate) const fn workers(&self) -> &WorkerPool {
        &self.workers
    }

    /// Takes no more routers from now on.
    pub(crate) fn freeze(&self) {
        self.table();
    }

    /// Sets the router of messages whose id has none.
    pub(crate) fn set_not_found(&self, router: Box<dyn IRouter>) -> Result<()> {
        self.collect("set the not-found route", |table| {
            table.not_found = Some(Route::of(Arc::from(router)));
            Ok(())
        })
    }

    /// Puts a gate before the routers it is for.
    pub(crate) fn add_gate(&self, gate: LoginGate) -> Result<()> {
        self.collect("require a login", |table| {
            table.gates.push(gate);
            Ok(())
        })
    }

    /// Whether messages of this id have a router.
    pub(crate) fn has_router(&self, msg_id: u32) -> bool {
        self.route_of(msg_id).is_some()
    }

    /// The route of a message id.
    pub(crate) fn route_of(&self, msg_id: u32) -> Option<&Route> {
        self.table().find(msg_id)
    }

    /// The route of a request.
    pub(crate) fn find(&self, request: &Request) -> Found<'_> {
        if let Some(route) = request.bound_route() {
            return Found::Bound(route);
        }
        let table = self.table();
        match table.find(request.get_msg_id()) {
            Some(route) => Found::Known(route),
            None => Found::Unknown(table.not_found.as_ref()),
        }
    }

    /// Whether the gates let a request pass whose id has no route; one that does not is refused.
    #[cold]
    pub(crate) fn gates_let_pass(&self, request: &Request) -> Result<bool> {
        for gate in self.table().gates.iter().rev() {
            if !gate.lets_pass(request)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The ids that have a route, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        self.table().routes.iter().map(|(id, _)| *id)
    }

    pub(crate) fn interceptors(&self) -> &[Box<dyn IInterceptor>] {
        &self.table().interceptors
    }

    fn collect(&self, what: &'static str, change: impl FnOnce(&mut Table) -> Result<()>) -> Result<()> {
        let mut collected = self.collected.lock();
        if self.frozen.get().is_some() {
            return Err(Error::AlreadyStarted { what });
        }
        change(&mut collected)
    }

    fn table(&self) -> &Table {
        self.frozen.get_or_init(|| std::mem::take(&mut *self.collected.lock()).close_gates())
    }
}

impl Sealed for MsgHandler {}

impl IMsgHandler for MsgHandler {
    fn add_router(&self, msg_id: u32, router: Box<dyn IRouter>) -> Result<()> {
        self.collect("add a router", |table| table.add(msg_id, Route::of(Arc::from(router))))
    }

    fn add_router_slices(&self, msg_id: u32, handlers: Vec<RouterHandler>) -> Result<()> {
        self.collect("add a router", |table| {
            let all: Vec<_> = table.used.iter().cloned().chain(handlers).collect();
            table.add(msg_id, Route::Slices(all.into()))
        })
    }

    fn use_(&self, handlers: Vec<RouterHandler>) -> Result<()> {
        self.collect("use a handler", |table| {
            table.used.extend(handlers);
            Ok(())
        })
    }

    fn add_interceptor(&self, interceptor: Box<dyn IInterceptor>) -> Result<()> {
        self.collect("add an interceptor", |table| {
            table.interceptors.push(interceptor);
            Ok(())
        })
    }

    fn do_msg_handler(&self, request: &dyn IRequest) -> Result<()> {
        request.call()
    }

    fn start_worker_pool(&self) -> Result<()> {
        self.workers.start().map_err(|source| Error::io("start the worker pool", source))
    }

    fn send_msg_to_task_queue(&self, request: Box<dyn IRequest>) -> Result<()> {
        let request: Box<dyn Any> = request;
        let request =
            request.downcast::<Request>().expect("the trait is sealed: no other type implements it");
        request.get_connection().connection().arc().queue_task(*request)
    }
}
