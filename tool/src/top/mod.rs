//! `zinx top`: a running server in the terminal, from its admin plane.

mod asker;
mod draw;
mod look;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::plane::Plane;
use asker::{Answer, Asker, Question};
use look::{Look, Rates, View};

/// What the command line asks for.
#[derive(Args)]
pub(crate) struct Order {
    /// Seconds from look to look.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    interval: u32,
    #[command(flatten)]
    plane: Plane,
}

/// Shows the server until a key says that it is enough.
pub(crate) fn run(order: &Order) -> ExitCode {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        eprintln!("zinx: top needs a terminal; `zinx conns` prints a list");
        return ExitCode::from(2);
    }
    let mut top = Top::default();
    // What is wrong from the beginning is said where it stays.
    if let Err(words) = top.look(&order.plane) {
        eprintln!("zinx: {words}");
        return ExitCode::FAILURE;
    }
    let mut terminal = ratatui::init();
    let draw = |top: &Top| terminal.draw(|frame| draw::draw(frame, top)).map(drop);
    let shown = show(&mut top, order, draw, key);
    ratatui::restore();
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zinx: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Shows until a key ends it. A server that does not answer holds up no key.
fn show(
    top: &mut Top,
    order: &Order,
    mut draw: impl FnMut(&Top) -> io::Result<()>,
    mut key: impl FnMut(Duration) -> io::Result<Option<KeyEvent>>,
) -> io::Result<()> {
    let mut asker = Asker::begin(order.plane.clone())?;
    let interval = Duration::from_secs(order.interval.into());
    let mut due = Instant::now() + interval;
    loop {
        draw(top)?;
        let wait = if asker.is_busy() { STEP } else { due.saturating_duration_since(Instant::now()) };
        match key(wait)?.map_or(Wish::Nothing, |key| top.press(key)) {
            Wish::Nothing => {}
            Wish::Quit => return Ok(()),
            Wish::Look => due = Instant::now(),
            Wish::Kick(id) => asker.ask(Question::Kick(id)),
        }
        while let Some(answer) = asker.answer() {
            if top.hear(answer) {
                due = Instant::now();
            }
        }
        if !asker.is_busy() && due <= Instant::now() {
            asker.ask(Question::Look(top.view()));
            due = Instant::now() + interval;
        }
    }
}

/// Waits for a key, at most for so long.
fn key(wait: Duration) -> io::Result<Option<KeyEvent>> {
    if !event::poll(wait)? {
        return Ok(None);
    }
    let Event::Key(key) = event::read()? else { return Ok(None) };
    Ok((key.kind != KeyEventKind::Release).then_some(key))
}

/// What is shown.
#[derive(Default)]
struct Top {
    look: Look,
    rates: Rates,
    /// Messages per second, the latest last.
    history: Vec<u64>,
    /// The row that is chosen, and the first of the list that is asked for.
    chosen: usize,
    offset: usize,
    sort: usize,
    is_closed: bool,
    /// The connection that is kicked once the operator has said yes.
    asks: Option<u64>,
    trouble: Option<String>,
}

/// What a key asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Nothing,
    /// To look again at once.
    Look,
    Kick(u64),
    Quit,
}

impl Top {
    fn look(&mut self, plane: &Plane) -> Result<(), String> {
        self.see(Look::at(plane, self.view())?);
        Ok(())
    }

    /// What it shows now.
    const fn view(&self) -> View {
        View { sort: SORTS[self.sort], is_closed: self.is_closed, offset: self.offset }
    }

    /// Whether to look again at once.
    fn hear(&mut self, answer: Answer) -> bool {
        match answer {
            Answer::Look(view, Ok(now)) if view == self.view() => self.see(now),
            // A key has asked for another look meanwhile, which comes next.
            Answer::Look(_, Ok(_)) => {}
            Answer::Look(_, Err(words)) | Answer::Kick(Err(words)) => self.trouble = Some(words),
            Answer::Kick(Ok(())) => return true,
        }
        false
    }

    fn see(&mut self, now: Look) {
        self.rates = Rates::between(&self.look, &now);
        if !self.look.is_empty() {
            self.history.push(self.rates.messages_in as u64);
            self.history.drain(..self.history.len().saturating_sub(KEPT));
        }
        self.look = now;
        self.chosen = self.chosen.min(self.look.rows.len().saturating_sub(1));
        self.trouble = None;
    }

    fn press(&mut self, key: KeyEvent) -> Wish {
        if let Some(id) = self.asks.take() {
            return if key.code == KeyCode::Char('y') { Wish::Kick(id) } else { Wish::Nothing };
        }
        let last = self.look.rows.len().saturating_sub(1);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => Wish::Quit,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Quit,
            KeyCode::Up => self.choose(self.chosen.saturating_sub(1)),
            KeyCode::Down => self.choose((self.chosen + 1).min(last)),
            KeyCode::PageUp => self.turn(self.offset.saturating_sub(look::PAGE)),
            KeyCode::PageDown if self.offset + look::PAGE < self.look.matched => {
                self.turn(self.offset + look::PAGE)
            }
            KeyCode::Char('s') => {
                self.sort = (self.sort + 1) % SORTS.len();
                self.turn(0)
            }
            KeyCode::Char('c') => {
                self.is_closed = !self.is_closed;
                self.turn(0)
            }
            KeyCode::Char('k') if !self.is_closed => {
                self.asks = self.look.rows.get(self.chosen).map(|row| row.id);
                Wish::Nothing
            }
            _ => Wish::Nothing,
        }
    }

    fn choose(&mut self, at: usize) -> Wish {
        self.chosen = at;
        Wish::Nothing
    }

    fn turn(&mut self, offset: usize) -> Wish {
        (self.offset, self.chosen) = (offset, 0);
        Wish::Look
    }
}

/// By what connections can be sorted.
const SORTS: [&str; 8] = ["waiting", "pending", "messages", "bytes_in", "bytes_out", "idle", "age", "id"];

/// How soon an answer is shown that has come while no key was pressed.
const STEP: Duration = Duration::from_millis(50);

/// Looks that are remembered.
const KEPT: usize = 300;

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::look::Row;
    use super::*;

    fn press(top: &mut Top, code: KeyCode) -> Wish {
        top.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn rows(count: u64) -> Vec<Row> {
        (0..count).map(|id| Row { id, ..Row::default() }).collect()
    }

    #[test]
    fn keys_choose_sort_page_and_kick_only_after_a_yes() {
        let look = Look { rows: rows(3), matched: 150, ..Look::default() };
        let mut top = Top { look, ..Top::default() };
        for _ in 0..5 {
            assert_eq!(press(&mut top, KeyCode::Down), Wish::Nothing);
        }
        assert_eq!(top.chosen, 2);
        press(&mut top, KeyCode::Up);
        press(&mut top, KeyCode::Char('k'));
        assert_eq!((top.asks, press(&mut top, KeyCode::Char('n'))), (Some(1), Wish::Nothing));
        press(&mut top, KeyCode::Char('k'));
        assert_eq!(press(&mut top, KeyCode::Char('y')), Wish::Kick(1));
        assert_eq!((press(&mut top, KeyCode::PageDown), top.offset), (Wish::Look, look::PAGE));
        assert_eq!((press(&mut top, KeyCode::PageDown), top.offset), (Wish::Nothing, look::PAGE));
        assert_eq!(
            (press(&mut top, KeyCode::Char('s')), top.offset, SORTS[top.sort]),
            (Wish::Look, 0, "pending")
        );
        assert_eq!(press(&mut top, KeyCode::Char('c')), Wish::Look);
        press(&mut top, KeyCode::Char('k'));
        assert_eq!((top.asks, press(&mut top, KeyCode::Char('q'))), (None, Wish::Quit));
    }

    #[test]
    fn a_server_that_does_not_answer_holds_up_no_key() {
        let silent = zinx::green::TcpListener::bind("127.0.0.1:0", 16).unwrap();
        let plane = Plane::at(&silent.local_addr().to_string());
        let mut keys = [KeyCode::Char('s'), KeyCode::Char('c'), KeyCode::Char('q')].into_iter();
        let key = |_| Ok(keys.next().map(|code| KeyEvent::new(code, KeyModifiers::NONE)));
        let (mut top, begun) = (Top::default(), Instant::now());
        show(&mut top, &Order { interval: 1, plane }, |_| Ok(()), key).unwrap();
        assert!(begun.elapsed() < crate::plane::PATIENCE, "{:?}", begun.elapsed());
        assert_eq!((SORTS[top.sort], top.is_closed), ("pending", true));
    }

    #[test]
    fn a_server_is_shown_with_its_connections_and_a_name_cannot_move_the_cursor() {
        let look = Look {
            name: "game".to_string(),
            rows: vec![Row { id: 7, user: "ann\u{1b}[2J\u{202e}".to_string(), ..Row::default() }],
            matched: 1,
            ..Look::default()
        };
        let top = Top { look, asks: Some(7), ..Top::default() };
        let mut terminal = Terminal::new(TestBackend::new(160, 20)).unwrap();
        terminal.draw(|frame| draw::draw(frame, &top)).unwrap();
        let screen = terminal.backend().to_string();
        assert!(screen.contains("game") && screen.contains("kick connection 7? y/n"), "{screen}");
        assert!(screen.contains("ann\\u{1b}[2J\\u{202e}"), "{screen}");
    }

    #[test]
    fn what_is_shown_comes_from_the_admin_plane() {
        use zinx::ziface::IServer;
        let mut config = zinx::Config::default();
        (config.tcp_port, config.handle_signals) = (0, false);
        config.admin = "127.0.0.1:0".to_string();
        let server = zinx::new_server_with_config(config).unwrap();
        server.start().unwrap();
        let stream = zinx::green::TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let peer = stream.local_addr().unwrap().to_string();
        let plane = Plane::at(&server.admin_addr().unwrap().to_string());
        let mut top = Top::default();
        let begun = Instant::now();
        while top.look.rows.is_empty() || top.look.open == 0 {
            top.look(&plane).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(30));
        }
        assert_eq!((&top.look.rows[0].peer, top.look.open, top.look.matched), (&peer, 1, 1));
        let mut asker = Asker::begin(plane.clone()).unwrap();
        let mut kick = |top: &mut Top, id| {
            asker.ask(Question::Kick(id));
            while asker.is_busy() {
                if let Some(answer) = asker.answer() {
                    return top.hear(answer);
                }
                assert!(begun.elapsed() < Duration::from_secs(30));
            }
            false
        };
        let id = top.look.rows[0].id;
        assert!(kick(&mut top, id));
        assert_eq!(top.trouble, None);
        assert!(!kick(&mut top, 1_000_000));
        assert!(top.trouble.as_ref().is_some_and(|trouble| trouble.contains("404")), "{:?}", top.trouble);
        top.is_closed = true;
        while top.look.rows.first().is_none_or(|row| row.does != "closed by an operator") {
            top.look(&plane).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(30));
        }
        server.stop();
        assert!(server.wait_stopped(Duration::from_secs(20)));
        assert!(top.look(&plane).is_err());
    }
}
