//! What clients send, made safe to show to others.

use zinx::prelude::*;

/// What a client has sent, as one line that does nothing to a terminal but be shown there.
pub(crate) fn text(request: &dyn IRequest) -> String {
    let turns_text_round = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown = |c: &char| !(c.is_control() || turns_text_round(*c));
    let text = String::from_utf8_lossy(request.get_data());
    text.chars().filter(shown).take(LONGEST_LINE).collect::<String>().trim().to_string()
}

/// Characters of a line.
const LONGEST_LINE: usize = 500;
