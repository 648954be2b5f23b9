//! The name that was probably meant.

/// Returns the candidate with the smallest edit distance to `name`, case apart; the first of several.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> &'a str {
    let name: Vec<char> = name.to_lowercase().chars().take(LONGEST).collect();
    candidates.min_by_key(|candidate| distance(&name, &candidate.to_lowercase())).unwrap_or_default()
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
        assert_eq!(nearest("x", std::iter::empty()), "");
    }
}
