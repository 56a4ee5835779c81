//! Standard output. Whoever reads it may stop early: `carillon event tail | head -1` is nobody's mistake.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use crate::failure::{Failure, Result};

/// Prints a line, as `println!` does, and fails where that would panic.
macro_rules! say {
    ($($line:tt)*) => {
        $crate::cli::out::line(format_args!($($line)*))
    };
}

/// Prints a line.
pub fn line(line: fmt::Arguments<'_>) -> Result<()> {
    write(&mut io::stdout().lock(), format_args!("{line}\n"))
}

/// Prints a text as it stands.
pub fn text(text: &str) -> Result<()> {
    write(&mut io::stdout().lock(), format_args!("{text}"))
}

fn write(out: &mut impl Write, text: fmt::Arguments<'_>) -> Result<()> {
    out.write_fmt(text)
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::unheard(),
            _ => Failure::failed(format!("standard output cannot be written: {error}")),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_said() {
        let full = write(&mut Full, format_args!("a")).unwrap_err();
        assert!(
            full.to_string().starts_with("Standard output cannot"),
            "{full}"
        );
    }
}
