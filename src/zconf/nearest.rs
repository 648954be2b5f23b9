//! The name that was probably meant.

/// Returns the first candidate that has `name` in it, as `TcpPort` has `Port`; else the one with the smallest edit distance. Case
/// does not matter.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> &'a str {
    let name: String = name.to_lowercase().chars().take(LONGEST).collect();
    let letters: Vec<char> = name.chars().collect();
    let by_distance = |candidate: &&str| {
        let candidate = candidate.to_lowercase();
        let is_part = letters.len() >= SHORTEST_PART && candidate.contains(&name);
        if is_part { 0 } else { 1 + distance(&letters, &candidate) }
    };
    candidates.min_by_key(by_distance).unwrap_or_default()
}

/// Counts the characters to insert, delete or replace to make `to` from `from` (Levenshtein, row by row).
fn distance(from: &[char], to: &str) -> usize {
    let mut row: Vec<usize> = (0..=from.len()).collect();
    for (y, wanted) in to.chars().enumerate() {
        let mut diagonal = y;
        let mut left = y + 1;
        for (cell, have) in row.iter_mut().skip(1).zip(from) {
            let replaced = diagonal + usize::from(*have != wanted);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = y + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Characters of a name that are compared: no key is longer, and a hostile file may hold one of megabytes.
const LONGEST: usize = 64;

/// Fewer letters are in many names.
const SHORTEST_PART: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (from, to, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
            ("a", "a", 0),
        ] {
            assert_eq!(distance(&chars(from), to), edits, "{from} -> {to}");
        }
    }

    #[test]
    fn the_nearest_name_ignores_case_and_survives_long_names() {
        let names = ["MaxConn", "MaxPacketSize", "TcpPort"];
        assert_eq!(nearest("maxcon", names.into_iter()), "MaxConn");
        assert_eq!(nearest("TCP_PORT", names.into_iter()), "TcpPort");
        assert_eq!(nearest(&"z".repeat(1 << 20), names.into_iter()), "MaxPacketSize");
        assert_eq!(nearest("Port", ["Host", "TcpPort", "WsPort"].into_iter()), "TcpPort");
        assert_eq!(nearest("x", std::iter::empty()), "");
    }
}
