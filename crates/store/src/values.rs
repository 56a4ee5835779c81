//! Many rows in one statement: `values` lists in a few fixed lengths, so that the statement cache stays small.

use std::fmt::Write as _;

use crate::Tx;
use crate::db::TxInner;

/// Cuts `rows` into few chunks of few different lengths: each chunk is a round trip to the engine, each length a
/// statement to prepare and to keep.
pub(crate) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let (chunk, rest) = rows.split_at_checked(length(rows.len()))?;
        rows = rest;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// How many of so many rows go into the next chunk: up to 16 all of them, up to 128 a multiple of eight.
fn length(rows: usize) -> usize {
    match rows {
        0..=16 => rows,
        17..=127 => rows - rows % 8,
        _ => 128,
    }
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
    fn every_row_is_in_one_chunk_and_chunks_are_few_and_of_few_lengths() {
        let mut lengths = std::collections::BTreeSet::new();
        for count in 0..=512 {
            let rows: Vec<usize> = (0..count).collect();
            let parts: Vec<&[usize]> = chunks(&rows).collect();
            assert_eq!(parts.concat(), rows);
            assert!(parts.len() <= count / 128 + 2, "{count}");
            lengths.extend(parts.iter().map(|part| part.len()));
        }
        assert!(lengths.len() <= 30, "{lengths:?}");
    }

    #[test]
    fn parameters_stand_row_by_row() {
        assert_eq!(numbered(2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(positional(2, 3), "(?, ?, ?), (?, ?, ?)");
    }
}
