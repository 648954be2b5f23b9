//! Interceptors: what looks at every message before its router: one notes it, one drops it, one changes it.
//!
//! They run in the order in which they were added; one that does not proceed drops the message.
//!
//! Run it: `cargo run --example interceptor_server`, and in a second terminal `cargo run --example interceptor_client`

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use zinx::ziface::{IChain, IInterceptor, IRequest, IServer};
use zinx::{Result, new_message, new_server};

/// Numbers the messages; handlers find the number in the request.
struct Count(AtomicUsize);

impl IInterceptor for Count {
    fn intercept(&self, chain: &dyn IChain) -> Result<()> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        println!("message {number}: {:?}", chain.get_imessage().get_data());
        chain.request().set("number", Arc::new(number));
        chain.proceed(chain.request())
    }
}

fn drop_spam(chain: &dyn IChain) -> Result<()> {
    if chain.get_imessage().get_data().starts_with(b"buy") {
        println!("dropped");
        return Ok(());
    }
    chain.proceed(chain.request())
}

fn shout(chain: &dyn IChain) -> Result<()> {
    let message = chain.get_imessage();
    let louder = new_message(message.get_msg_id(), message.get_data().to_ascii_uppercase());
    chain.proceed_with_imessage(&louder, chain.request())
}

fn answer(request: &dyn IRequest) -> Result<()> {
    let number = request.get_as::<usize>("number").map_or(0, |number| *number);
    let text = String::from_utf8_lossy(request.get_data());
    request.get_connection().send_msg(1, format!("message {number}: {text}"))
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.add_interceptor(Count(AtomicUsize::new(0)))?;
    server.add_interceptor(drop_spam)?;
    server.add_interceptor(shout)?;
    server.add_router(1, answer)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
