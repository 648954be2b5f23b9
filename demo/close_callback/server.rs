//! Close callbacks: users on line, by ids of the program's own. A user whose connection closes is no longer on line.
//!
//! Id 1 logs in, under the number that is sent; id 2 tells all who are on line.
//!
//! Run it: `cargo run --example close_callback_server`, and in a second terminal `cargo run --example close_callback_client`

use std::process::ExitCode;

use zinx::ziface::{IRequest, IServer};
use zinx::znotify::ZNotify;
use zinx::{Error, Result, new_server};

fn login(users: &ZNotify, request: &dyn IRequest) -> Result<()> {
    let text = String::from_utf8_lossy(request.get_data());
    let user = text.parse().map_err(Error::other)?;
    let conn = request.get_connection();
    // Keeps a close callback of its own, by which the entry goes.
    users.set_notify_id(user, conn)?;
    let theirs = users.clone();
    conn.add_close_callback("login", &text, move || {
        theirs.notify_all(3, format!("user {user} has left"));
    })?;
    users.notify_all(3, format!("user {user} has come, {} on line", users.conn_nums()));
    Ok(())
}

fn serve() -> Result<()> {
    let (server, users) = (new_server()?, ZNotify::new());
    let all = users.clone();
    server.add_router(1, move |request: &dyn IRequest| login(&users, request))?;
    server.add_router(2, move |request: &dyn IRequest| {
        let told = all.notify_all(3, request.get_data());
        println!("told {told}");
        Ok(())
    })?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    zinx::exit(serve())
}
