//! `$filter` of Event Grid's lists: `contains(name, 'a') and not (name eq 'b')`.
//!
//! Specification: the parameter `$filter` of Microsoft.EventGrid 2025-02-15: "Filtering is permitted on the 'name'
//! property only", with `contains`, `eq`, `ne`, `not`, `and`, `or`.

/// Which names a list is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NameFilter {
    /// Every name.
    #[default]
    All,
    /// `name eq 'value'`, without regard to case as names are.
    Is(String),
    /// `contains(name, 'value')`.
    Contains(String),
    /// `not`, and `ne`.
    Not(Box<NameFilter>),
    /// `and`.
    Both(Box<NameFilter>, Box<NameFilter>),
    /// `or`.
    Either(Box<NameFilter>, Box<NameFilter>),
}

/// A filter outside that language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("contains(name, '…'), name eq '…' and name ne '…', with not, and, or and parentheses")]
pub struct Unsupported;

impl NameFilter {
    /// Reads a filter; an empty one takes every name.
    pub fn parse(text: &str) -> Result<Self, Unsupported> {
        if text.trim().is_empty() {
            return Ok(Self::All);
        }
        if text.len() > LONGEST {
            return Err(Unsupported);
        }
        let tokens = tokens(text)?;
        let mut reader = Reader {
            rest: &tokens,
            depth: 0,
        };
        let filter = reader.either()?;
        reader.rest.is_empty().then_some(filter).ok_or(Unsupported)
    }

    /// Whether it takes `name`.
    pub fn takes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Is(value) => name.eq_ignore_ascii_case(value),
            Self::Contains(value) => name
                .to_ascii_lowercase()
                .contains(&value.to_ascii_lowercase()),
            Self::Not(filter) => !filter.takes(name),
            Self::Both(one, other) => one.takes(name) && other.takes(name),
            Self::Either(one, other) => one.takes(name) || other.takes(name),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A word, lower-cased.
    Word(String),
    /// A value that stood in quotes.
    Text(String),
    Open,
    Close,
    Comma,
}

struct Reader<'t> {
    rest: &'t [Token],
    depth: usize,
}

impl Reader<'_> {
    fn either(&mut self) -> Result<NameFilter, Unsupported> {
        let mut filter = self.both()?;
        while self.word("or") {
            filter = NameFilter::Either(Box::new(filter), Box::new(self.both()?));
        }
        Ok(filter)
    }

    fn both(&mut self) -> Result<NameFilter, Unsupported> {
        let mut filter = self.term()?;
        while self.word("and") {
            filter = NameFilter::Both(Box::new(filter), Box::new(self.term()?));
        }
        Ok(filter)
    }

    fn term(&mut self) -> Result<NameFilter, Unsupported> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Unsupported);
        }
        let filter = if self.word("not") {
            NameFilter::Not(Box::new(self.term()?))
        } else if self.token(&Token::Open) {
            let filter = self.either()?;
            self.expect(&Token::Close)?;
            filter
        } else if self.word("contains") {
            self.expect(&Token::Open)?;
            self.name()?;
            self.expect(&Token::Comma)?;
            let value = self.text()?;
            self.expect(&Token::Close)?;
            NameFilter::Contains(value)
        } else {
            self.name()?;
            if self.word("eq") {
                NameFilter::Is(self.text()?)
            } else if self.word("ne") {
                NameFilter::Not(Box::new(NameFilter::Is(self.text()?)))
            } else {
                return Err(Unsupported);
            }
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn name(&mut self) -> Result<(), Unsupported> {
        self.word("name").then_some(()).ok_or(Unsupported)
    }

    fn text(&mut self) -> Result<String, Unsupported> {
        match self.rest {
            [Token::Text(text), rest @ ..] => {
                self.rest = rest;
                Ok(text.clone())
            }
            _ => Err(Unsupported),
        }
    }

    fn word(&mut self, wanted: &str) -> bool {
        self.token(&Token::Word(wanted.to_owned()))
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), Unsupported> {
        self.token(wanted).then_some(()).ok_or(Unsupported)
    }

    fn token(&mut self, wanted: &Token) -> bool {
        match self.rest {
            [next, rest @ ..] if next == wanted => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, Unsupported> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            ' ' => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '\'' => {
                let mut value = String::new();
                loop {
                    match chars.next() {
                        // Two quotes stand for one.
                        Some('\'') if chars.peek() == Some(&'\'') => value.extend(chars.next()),
                        Some('\'') => break,
                        Some(c) => value.push(c),
                        None => return Err(Unsupported),
                    }
                }
                Token::Text(value)
            }
            c if c.is_ascii_alphabetic() => {
                let mut word = String::from(c.to_ascii_lowercase());
                while let Some(c) = chars.next_if(char::is_ascii_alphabetic) {
                    word.push(c.to_ascii_lowercase());
                }
                Token::Word(word)
            }
            _ => return Err(Unsupported),
        };
        tokens.push(token);
    }
    Ok(tokens)
}

/// Bytes of a filter.
const LONGEST: usize = 4_096;
/// Terms inside terms.
const DEEPEST: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_taken_as_documented() {
        let taken = |filter: &str| -> Vec<&str> {
            let filter = NameFilter::parse(filter).unwrap();
            let names = ["sub-1", "sub-2", "other"].into_iter();
            names.filter(|name| filter.takes(name)).collect()
        };
        assert_eq!(taken(""), ["sub-1", "sub-2", "other"]);
        // The documentation's own example, with its spelling of the property.
        assert_eq!(
            taken("contains(namE, 'SUB') and name ne 'sub-1'"),
            ["sub-2"]
        );
        assert_eq!(
            taken("name eq 'SUB-1' or name eq 'other'"),
            ["sub-1", "other"]
        );
        assert_eq!(taken("not (contains(name,'sub'))"), ["other"]);
        assert_eq!(
            taken("name eq 'other' or name eq 'sub-1' and name eq 'sub-2'"),
            ["other"]
        );
    }

    #[test]
    fn other_filters_are_refused() {
        let deep = "(".repeat(100);
        for filter in [
            "location eq 'x'",
            "name eq x",
            "name gt 'x'",
            "name eq 'x",
            "name eq 'x' and",
            "contains(name)",
            "(name eq 'x'",
            "name eq 'x' name eq 'y'",
            deep.as_str(),
        ] {
            assert_eq!(NameFilter::parse(filter), Err(Unsupported), "{filter}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r"((name|eq|and|or|not|contains|\(|\)|,|'[^']?'| |.)){0,20}") {
            if let Ok(filter) = NameFilter::parse(&text) {
                let _ = filter.takes("name");
            }
        }
    }
}
