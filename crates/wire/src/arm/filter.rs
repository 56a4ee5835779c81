//! `$filter` of resource lists: the part of OData that Azure Resource Manager documents for "Resources - List":
//! `name eq 'value'` terms joined with `and`.

/// What a list is narrowed to. Values as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `resourceGroup eq`.
    pub group: Option<String>,
    /// `resourceType eq`.
    pub kind: Option<String>,
    /// `name eq`.
    pub name: Option<String>,
    /// `location eq`.
    pub location: Option<String>,
    /// `tagName eq`.
    pub tag_name: Option<String>,
    /// `tagValue eq`.
    pub tag_value: Option<String>,
}

/// A filter outside that part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "only resourceGroup, resourceType, name, location, tagName and tagValue with 'eq', joined with 'and'"
)]
pub struct Unsupported;

impl Filter {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Self, Unsupported> {
        let mut filter = Self::default();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (name, after) = word(rest)?;
            let (operator, after) = word(after)?;
            if !operator.eq_ignore_ascii_case("eq") {
                return Err(Unsupported);
            }
            let (value, after) = quoted(after)?;
            *filter.place(name)? = Some(value);
            rest = match after {
                "" => "",
                more => {
                    let (and, more) = word(more)?;
                    if !and.eq_ignore_ascii_case("and") || more.is_empty() {
                        return Err(Unsupported);
                    }
                    more
                }
            };
        }
        Ok(filter)
    }

    fn place(&mut self, name: &str) -> Result<&mut Option<String>, Unsupported> {
        match name.to_ascii_lowercase().as_str() {
            "resourcegroup" => Ok(&mut self.group),
            "resourcetype" => Ok(&mut self.kind),
            "name" => Ok(&mut self.name),
            "location" => Ok(&mut self.location),
            "tagname" => Ok(&mut self.tag_name),
            "tagvalue" => Ok(&mut self.tag_value),
            _ => Err(Unsupported),
        }
    }
}

/// The next word and what follows it.
fn word(text: &str) -> Result<(&str, &str), Unsupported> {
    let (word, rest) = text.split_once(' ').ok_or(Unsupported)?;
    Ok((word, rest.trim_start()))
}

/// A value in single quotes, in which two stand for one.
fn quoted(text: &str) -> Result<(String, &str), Unsupported> {
    let mut rest = text.strip_prefix('\'').ok_or(Unsupported)?;
    let mut value = String::new();
    loop {
        let (part, after) = rest.split_once('\'').ok_or(Unsupported)?;
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Ok((value, after.trim_start())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_filter_of_the_command_line_client_parses() {
        let filter = Filter::parse("resourceGroup eq 'rg' AND name eq 'it''s'").unwrap();
        assert_eq!(filter.group.as_deref(), Some("rg"));
        assert_eq!(filter.name.as_deref(), Some("it's"));
        assert_eq!(Filter::parse(" "), Ok(Filter::default()));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "name",
            "name ne 'a'",
            "name eq a",
            "name eq 'a",
            "size eq 'a'",
            "name eq 'a' and",
            "name eq 'a' or name eq 'b'",
        ] {
            assert_eq!(Filter::parse(text), Err(Unsupported), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r"((name|tagName|eq|and|'|''| |\PC){0,3} ?){0,12}") {
            let _ = Filter::parse(&text);
        }
    }
}
