//! A session as one loop: a login, a menu and a game, in the order in which they are played.
//!
//! Run it: `cargo run --example login_menu_game_server`, and in a second terminal `cargo run --example login_menu_game_client`

use std::process::ExitCode;
use std::time::Duration;

use zinx::prelude::*;

/// What the player is shown, and the line typed.
const SHOW: u32 = 1;
const LINE: u32 = 2;

/// Shows a text and waits for the line the player types.
fn ask(s: &mut Session, text: &str) -> Result<String> {
    let line = s.ask(SHOW, text, LINE)?;
    Ok(String::from_utf8_lossy(line.get_data()).trim().to_string())
}

fn login(s: &mut Session) -> Result<Option<String>> {
    for _ in 0..3 {
        let name = ask(s, "name?")?;
        if ask(s, "password?")? == format!("{name}123") {
            s.get_connection().login(&name, OnDuplicate::KickOld)?;
            return Ok(Some(name));
        }
        s.send(SHOW, "wrong")?;
    }
    Ok(None)
}

fn play(s: &mut Session, secret: u32) -> Result<u32> {
    for guess in 1.. {
        match ask(s, "a number from 1 to 100?")?.parse::<u32>() {
            Ok(number) if number == secret => return Ok(guess),
            Ok(number) if number < secret => s.send(SHOW, "more")?,
            Ok(_) => s.send(SHOW, "less")?,
            Err(_) => s.send(SHOW, "that is no number")?,
        }
    }
    Ok(0)
}

/// All that happens on a connection.
fn session(s: &mut Session) -> Result<()> {
    let Some(name) = s.with_timeout(Duration::from_secs(60), login)? else {
        return s.send(SHOW, "come back when you remember");
    };
    let mut best = None;
    loop {
        match &*ask(s, &format!("{name}: 1 play, 2 best game, 3 leave"))? {
            "1" => {
                let guesses = play(s, 42)?;
                best = Some(best.map_or(guesses, |best: u32| best.min(guesses)));
                s.send(SHOW, format!("right, after {guesses}"))?;
            }
            "2" => match best {
                Some(guesses) => s.send(SHOW, format!("{guesses} guesses"))?,
                None => s.send(SHOW, "none yet")?,
            },
            "3" => return s.send(SHOW, "bye"),
            _ => s.send(SHOW, "1, 2 or 3")?,
        }
    }
}

fn serve() -> Result<()> {
    let server = new_server()?;
    server.on_session(session)?;
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
