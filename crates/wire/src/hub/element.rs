//! XML bodies as a small tree. Prefixes are left out: clients choose them freely, and the formats here have no two
//! elements that differ in their namespace alone.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};

/// How deep a body may nest.
const MAX_DEPTH: usize = 32;

/// An element with the text directly in it (entities resolved, CDATA included) and its children in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name without a prefix.
    pub name: String,
    /// Its text, untrimmed.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Element>,
}

/// Why a body is no XML document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not well-formed.
    #[error("the body is not well-formed XML at byte {0}")]
    Syntax(u64),
    /// A document type: it may define entities, which no client needs.
    #[error("the body has a document type or an unknown entity")]
    Entity,
    /// More than 32 levels.
    #[error("the body nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// No element at all, or elements left open.
    #[error("the body is not one whole XML document")]
    Incomplete,
}

impl Element {
    /// The root element of a document.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        // The first stands for the document itself, the last is the innermost one that is open.
        let mut open = vec![Self::default()];
        loop {
            let event = reader.read_event();
            let event = event.map_err(|_| Error::Syntax(reader.error_position()))?;
            let closed = match event {
                Event::Start(tag) => {
                    if open.len() > MAX_DEPTH {
                        return Err(Error::TooDeep);
                    }
                    open.push(Self::named(tag.local_name().as_ref()));
                    None
                }
                Event::Empty(tag) => Some(Self::named(tag.local_name().as_ref())),
                Event::End(_) => open.pop(),
                Event::Eof => break,
                Event::DocType(_) => return Err(Error::Entity),
                event => {
                    if let (Some(parent), Some(text)) = (open.last_mut(), text_of(&event)?) {
                        parent.text.push_str(&text);
                    }
                    None
                }
            };
            if let Some(element) = closed {
                open.last_mut()
                    .ok_or(Error::Incomplete)?
                    .children
                    .push(element);
            }
        }
        match <[Self; 1]>::try_from(open) {
            Ok([document]) => document
                .children
                .into_iter()
                .next()
                .ok_or(Error::Incomplete),
            Err(_) => Err(Error::Incomplete),
        }
    }

    fn named(name: &[u8]) -> Self {
        Self {
            name: String::from_utf8_lossy(name).into_owned(),
            ..Self::default()
        }
    }

    /// The first child called `name`.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The trimmed text of the child called `name`, unless it is empty.
    pub fn value(&self, name: &str) -> Option<&str> {
        let text = self.child(name)?.text.trim();
        (!text.is_empty()).then_some(text)
    }

    /// This element or the first one below it called `name`.
    pub fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(name))
    }
}

fn text_of(event: &Event<'_>) -> Result<Option<String>, Error> {
    Ok(match event {
        Event::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        Event::CData(text) => Some(String::from_utf8_lossy(text).into_owned()),
        Event::GeneralRef(entity) => Some(resolve(entity)?),
        _ => None,
    })
}

fn resolve(entity: &BytesRef<'_>) -> Result<String, Error> {
    match entity.resolve_char_ref() {
        Ok(Some(c)) => return Ok(c.to_string()),
        Ok(None) => {}
        Err(_) => return Err(Error::Entity),
    }
    let name = entity.decode().map_err(|_| Error::Entity)?;
    resolve_predefined_entity(&name)
        .map(str::to_owned)
        .ok_or(Error::Entity)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_entities_and_cdata_are_one_text_and_prefixes_go() {
        let root = Element::parse("\u{feff}<?xml version=\"1.0\"?><x:a xmlns:x='u'>1 &lt;&#x41;<![CDATA[<&>]]><b/><x:c>\n two </x:c></x:a>").unwrap();
        assert_eq!((root.name.as_str(), root.text.as_str()), ("a", "1 <A<&>"));
        assert_eq!(root.value("c"), Some("two"));
        assert_eq!(root.value("b"), None);
        assert_eq!(root.find("c"), root.child("c"));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        assert_eq!(Element::parse(""), Err(Error::Incomplete));
        assert_eq!(Element::parse("<a>"), Err(Error::Incomplete));
        assert!(matches!(Element::parse("<a></b>"), Err(Error::Syntax(_))));
        assert_eq!(
            Element::parse("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"),
            Err(Error::Entity)
        );
        assert_eq!(Element::parse("<a>&x;</a>"), Err(Error::Entity));
        assert_eq!(Element::parse(&"<a>".repeat(100_000)), Err(Error::TooDeep));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(<a>|</a>|<b/>|<!\\[CDATA\\[|\\]\\]>|&lt;|&#|;|<|>|\\PC){0,60}") {
            let _ = Element::parse(&text);
        }
    }
}
