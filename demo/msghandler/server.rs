//! Chapter 6, many routers: the message id chooses what is done. Chapters 7 and 9 run the same program.
//!
//! Id 1 is answered with two messages, `ping\n` and its own bytes; id 2 with a greeting in Chinese, encoded in GB2312 as
//! the clients of the Python tutorial expect it. Any other id is logged and dropped.
//!
//! Run it: `cargo run --example msghandler_server`, and in a second terminal `cargo run --example msghandler_client`

use std::process::ExitCode;

use encoding_rs::GBK;
use zinx::ziface::{BaseRouter, IRequest, IServer};
use zinx::{Result, new_server};

struct PingRouter;

impl BaseRouter for PingRouter {
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        println!("调用Handle");
        println!("b'{}'", request.get_data().escape_ascii());
        request.get_connection().send_msg(1, "ping\n")?;
        request.get_connection().send_msg(1, request.get_data())
    }
}

struct HelloRouter;

impl BaseRouter for HelloRouter {
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        println!("调用Handle");
        println!("b'{}'", request.get_data().escape_ascii());
        // A `&str` is UTF-8. GBK holds all of GB2312, with the same bytes.
        let (hello, ..) = GBK.encode("你好,Zinx\n");
        request.get_connection().send_msg(2, &*hello)
    }
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_router(1, PingRouter)?;
    server.add_router(2, HelloRouter)?;
    server.serve()
}

pub(crate) fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG)).init();
    zinx::exit(serve())
}

/// What is logged unless `RUST_LOG` says otherwise: the lines of the tutorial too.
const LOG: &str = "info,may=warn,zinx::tutorial=trace";
