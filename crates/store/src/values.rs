//! Many rows in one statement: `values` lists in a few fixed lengths, so that the statement cache stays small.

use std::fmt::Write as _;

use crate::Tx;
use crate::db::TxInner;

/// Lengths of a chunk, longest first; the last must be 1.
const LENGTHS: [usize; 8] = [128, 64, 32, 16, 8, 4, 2, 1];

/// Cuts `rows` into chunks whose lengths are all in [`LENGTHS`].
pub(crate) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = LENGTHS.into_iter().find(|length| *length <= rows.len())?;
        let (chunk, rest) = rows.split_at(length);
        rows = rest;
        Some(chunk)
    })
}

impl Tx {
    /// A list of `rows` rows of `columns` parameters, as the engine likes them best.
    ///
    /// PostgreSQL has numbers only. SQLite reads `$1` too, but as a name: it finds each by walking through all, at
    /// every execution, which costs a long list more than the statement itself.
    pub(crate) fn values(&self, rows: usize, columns: usize) -> String {
        match self.inner {
            TxInner::Sqlite(_) => positional(rows, columns),
            TxInner::Postgres(_) => numbered(rows, columns),
        }
    }
}

/// `(?, ?), (?, ?), …`
fn positional(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    vec![row.as_str(); rows].join(", ")
}

/// `($1, $2), ($3, $4), …`
pub(crate) fn numbered(rows: usize, columns: usize) -> String {
    let mut list = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        list.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(list, "{comma}${}", row * columns + column + 1);
        }
        list.push(')');
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_chunk_of_a_known_length() {
        for count in [0, 1, 7, 8, 33, 128, 300] {
            let rows: Vec<usize> = (0..count).collect();
            let parts: Vec<&[usize]> = chunks(&rows).collect();
            assert!(parts.iter().all(|part| LENGTHS.contains(&part.len())));
            assert_eq!(parts.concat(), rows);
        }
    }

    #[test]
    fn parameters_stand_row_by_row() {
        assert_eq!(numbered(2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(positional(2, 3), "(?, ?, ?), (?, ?, ?)");
    }
}
