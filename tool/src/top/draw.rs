//! How it looks.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as Cells, Sparkline, Table, TableState};

use super::look::Row;
use super::{SORTS, Top};
use crate::plane::clean;

pub(super) fn draw(frame: &mut Frame<'_>, top: &Top) {
    let [head, figures, chart, table, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(2),
        Constraint::Length(4),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(title(top), head);
    frame.render_widget(Paragraph::new(sums(top)), figures);
    draw_chart(frame, top, chart);
    draw_table(frame, top, table);
    frame.render_widget(footer(top), foot);
}

fn title(top: &Top) -> Line<'_> {
    let look = &top.look;
    let state = if look.is_stopping { " draining ".black().on_red() } else { " ready ".black().on_green() };
    let up = look.uptime_ms / 1000;
    let (hours, minutes, seconds) = (up / 3600, up / 60 % 60, up % 60);
    let rest = format!("  up {hours}:{minutes:02}:{seconds:02}");
    Line::from(vec![clean(&look.name).bold(), Span::raw("  "), state, Span::raw(rest)])
}

fn sums(top: &Top) -> Vec<Line<'_>> {
    let (look, rates) = (&top.look, &top.rates);
    let first = [
        ("connections", format!("{} of {}", look.open, look.most)),
        ("users", look.users.to_string()),
        ("groups", look.groups.to_string()),
        ("stacks", format!("{:.0}", look.stacks)),
        ("memory", bytes(look.memory_bytes)),
        ("processor", format!("{:.0} %", rates.cpu * 100.0)),
    ];
    let second = [
        ("messages", format!("{:.0}/s in, {:.0}/s out", rates.messages_in, rates.messages_out)),
        ("traffic", format!("{}/s in, {}/s out", bytes(rates.bytes_in), bytes(rates.bytes_out))),
        ("to send", bytes(look.queue_bytes)),
    ];
    vec![entries(&first), entries(&second)]
}

fn entries<'a>(entries: &[(&'a str, String)]) -> Line<'a> {
    let entry = |(name, value): &(&'a str, String)| {
        [Span::styled(*name, Style::new().fg(Color::DarkGray)), Span::raw(format!(" {value}   "))]
    };
    Line::from(entries.iter().flat_map(entry).collect::<Vec<_>>())
}

fn draw_chart(frame: &mut Frame<'_>, top: &Top, area: Rect) {
    let width = usize::from(area.width);
    let shown = &top.history[top.history.len().saturating_sub(width)..];
    let chart = Sparkline::default().data(shown).style(Style::new().fg(Color::Cyan));
    frame.render_widget(chart, area);
}

fn draw_table(frame: &mut Frame<'_>, top: &Top, area: Rect) {
    let does = if top.is_closed { "WHY" } else { "WHERE ITS CODE WAITS" };
    let head = ["ID", "STATE", "PEER", "USER", does, "TO SEND", "MESSAGES"];
    let widths = [
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(22),
        Constraint::Length(24),
        Constraint::Min(20),
        Constraint::Length(10),
        Constraint::Length(10),
    ];
    let table = Table::new(top.look.rows.iter().map(cells), widths)
        .header(Cells::new(head).bold().on_dark_gray())
        .row_highlight_style(Style::new().reversed());
    let mut state = TableState::default().with_selected(Some(top.chosen));
    frame.render_stateful_widget(table, area, &mut state);
}

fn cells(row: &Row) -> Cells<'_> {
    let state = match row.state.as_str() {
        "open" => Cell::from("open"),
        other => Cell::from(other).red(),
    };
    Cells::new([
        Cell::from(row.id.to_string()),
        state,
        Cell::from(clean(&row.peer)),
        Cell::from(clean(&row.user)),
        Cell::from(clean(&row.does)),
        Cell::from(bytes(row.pending_bytes as f64)),
        Cell::from(row.messages.to_string()),
    ])
}

fn footer(top: &Top) -> Line<'_> {
    if let Some(id) = top.asks {
        return Line::from(format!(" kick connection {id}? y/n ")).black().on_yellow();
    }
    if let Some(trouble) = &top.trouble {
        return Line::from(clean(trouble)).red();
    }
    let (first, last) =
        (top.offset + usize::from(!top.look.rows.is_empty()), top.offset + top.look.rows.len());
    let what = if top.is_closed { "closed, the latest first" } else { SORTS[top.sort] };
    Line::from(format!(
        "{first}-{last} of {} by {what}   q quit  s sort  c closed  k kick  ↑↓ choose  PgUp PgDn page",
        top.look.matched
    ))
    .dark_gray()
}

fn bytes(count: f64) -> String {
    let (mut count, mut units) = (count, ["B", "KiB", "MiB", "GiB"].iter().peekable());
    while count >= 1000.0 && units.len() > 1 {
        (count, _) = (count / 1024.0, units.next());
    }
    let unit = units.next().unwrap_or(&"B");
    if *unit == "B" { format!("{count:.0} B") } else { format!("{count:.1} {unit}") }
}
