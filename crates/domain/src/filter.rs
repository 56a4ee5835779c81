//! Whether an event matches a subscription: its filter, compiled once, and the first part that says no.
//!
//! Order: event type, subject, advanced filters; all must hold. Strings compare without regard to case, keys
//! too; a value of another JSON type than the operator's does not match.

use std::collections::HashSet;

use serde_json::Value;
use wire::event::filter::{Filter as Spec, Operator};

use crate::event::Event;

/// A filter ready to be asked many times.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Lower-cased; `None` wants every type.
    types: Option<HashSet<String>>,
    begins_with: Option<String>,
    ends_with: Option<String>,
    case_sensitive: bool,
    into_arrays: bool,
    advanced: Vec<Advanced>,
}

/// What a filter may look at.
#[derive(Clone, Copy, Debug)]
pub struct View<'e> {
    /// The event's type.
    pub event_type: &'e str,
    /// The event's subject.
    pub subject: &'e str,
    /// The whole envelope as JSON, `data` included.
    pub envelope: &'e Value,
}

impl<'e> View<'e> {
    /// What filters see of an event whose body is `envelope`.
    pub fn of(event: &'e Event, envelope: &'e Value) -> Self {
        Self {
            event_type: &event.kind,
            subject: &event.subject,
            envelope,
        }
    }
}

/// The part of a filter that said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The event's type is not among the included ones.
    EventType,
    /// The subject does not begin as wanted.
    SubjectBegins,
    /// The subject does not end as wanted.
    SubjectEnds,
    /// The advanced filter at this place does not hold.
    Advanced(usize),
}

#[derive(Clone, Debug)]
struct Advanced {
    path: Path,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Number {
        ranges: Vec<Range>,
        negated: bool,
    },
    Bool(bool),
    Text {
        how: How,
        values: Vec<String>,
        negated: bool,
    },
    Null(bool),
}

#[derive(Clone, Copy, Debug)]
struct Range {
    low: f64,
    high: f64,
    open: bool,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Equals,
    Contains,
    Begins,
    Ends,
}

impl Filter {
    /// Compiles what ARM wrote.
    pub fn compile(spec: &Spec) -> Self {
        let case_sensitive = spec.is_subject_case_sensitive.unwrap_or(false);
        let fold = |text: &Option<String>| {
            text.as_ref().filter(|text| !text.is_empty()).map(|text| {
                if case_sensitive {
                    text.clone()
                } else {
                    text.to_lowercase()
                }
            })
        };
        let types = spec.included_event_types.as_deref().unwrap_or_default();
        let every_type =
            types.is_empty() || types.iter().any(|name| name.eq_ignore_ascii_case("All"));
        Self {
            types: (!every_type).then(|| types.iter().map(|name| name.to_lowercase()).collect()),
            begins_with: fold(&spec.subject_begins_with),
            ends_with: fold(&spec.subject_ends_with),
            case_sensitive,
            into_arrays: spec.enable_advanced_filtering_on_arrays.unwrap_or(false),
            advanced: spec
                .advanced_filters
                .iter()
                .flatten()
                .map(Advanced::compile)
                .collect(),
        }
    }

    /// The event types it wants, lower-cased, for an index; `None` is every type.
    pub fn types(&self) -> Option<&HashSet<String>> {
        self.types.as_ref()
    }

    /// Whether it looks inside events: [`View::envelope`] is needed for nothing else.
    pub fn looks_inside(&self) -> bool {
        !self.advanced.is_empty()
    }

    /// How many advanced filters were asked for this verdict.
    pub fn evaluated(&self, verdict: &Result<(), Miss>) -> usize {
        match verdict {
            Ok(()) => self.advanced.len(),
            Err(Miss::Advanced(index)) => index + 1,
            Err(_) => 0,
        }
    }

    /// Whether the event matches; if not, which part says no.
    pub fn check(&self, event: &View<'_>) -> Result<(), Miss> {
        if let Some(types) = &self.types
            && !types.contains(&event.event_type.to_lowercase())
        {
            return Err(Miss::EventType);
        }
        self.check_subject(event.subject)?;
        for (index, filter) in self.advanced.iter().enumerate() {
            if !filter.holds(event.envelope, self.into_arrays) {
                return Err(Miss::Advanced(index));
            }
        }
        Ok(())
    }

    fn check_subject(&self, subject: &str) -> Result<(), Miss> {
        if self.begins_with.is_none() && self.ends_with.is_none() {
            return Ok(());
        }
        let folded;
        let subject = if self.case_sensitive {
            subject
        } else {
            folded = subject.to_lowercase();
            &folded
        };
        if self
            .begins_with
            .as_ref()
            .is_some_and(|begin| !subject.starts_with(begin))
        {
            return Err(Miss::SubjectBegins);
        }
        if self
            .ends_with
            .as_ref()
            .is_some_and(|end| !subject.ends_with(end))
        {
            return Err(Miss::SubjectEnds);
        }
        Ok(())
    }
}

impl Advanced {
    fn compile(spec: &wire::event::filter::AdvancedFilter) -> Self {
        Self {
            path: Path::parse(&spec.key),
            test: Test::compile(&spec.operator),
        }
    }

    fn holds(&self, envelope: &Value, into_arrays: bool) -> bool {
        match find(envelope, &self.path.0) {
            None | Some(Value::Null) => self.test.holds_without_value(),
            Some(Value::Array(items)) if !matches!(self.test, Test::Null(_)) => {
                into_arrays && self.test.holds_for_any(items)
            }
            Some(value) => self.test.holds(value),
        }
    }
}

/// Where in an event: an envelope field, or `data.…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl Path {
    /// "The dot (.) is always a separator": a key with a dot in it cannot be addressed.
    pub fn parse(text: &str) -> Self {
        Self(text.split('.').map(|part| part.trim().to_owned()).collect())
    }

    /// The value there as text, if it is a string, a number or a boolean.
    pub fn text(&self, envelope: &Value) -> Option<String> {
        match find(envelope, &self.0)? {
            Value::String(text) => Some(text.clone()),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => None,
        }
    }
}

/// The value at `path`; property names compare without regard to case, the exact spelling first.
fn find<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| {
        let object = value.as_object()?;
        object.get(name).or_else(|| {
            object
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        })
    })
}

impl Test {
    fn compile(operator: &Operator) -> Self {
        let number = |ranges, negated| Self::Number { ranges, negated };
        let text = |how, values: &[String], negated| Self::Text {
            how,
            values: values.iter().map(|value| value.to_lowercase()).collect(),
            negated,
        };
        match operator {
            Operator::NumberIn { values } => number(Range::points(values), false),
            Operator::NumberNotIn { values } => number(Range::points(values), true),
            Operator::NumberLessThan { value } => number(vec![Range::below(*value, true)], false),
            Operator::NumberLessThanOrEquals { value } => {
                number(vec![Range::below(*value, false)], false)
            }
            Operator::NumberGreaterThan { value } => {
                number(vec![Range::above(*value, true)], false)
            }
            Operator::NumberGreaterThanOrEquals { value } => {
                number(vec![Range::above(*value, false)], false)
            }
            Operator::NumberInRange { values } => number(Range::closed(values), false),
            Operator::NumberNotInRange { values } => number(Range::closed(values), true),
            Operator::BoolEquals { value } => Self::Bool(*value),
            Operator::StringIn { values } => text(How::Equals, values, false),
            Operator::StringNotIn { values } => text(How::Equals, values, true),
            Operator::StringContains { values } => text(How::Contains, values, false),
            Operator::StringNotContains { values } => text(How::Contains, values, true),
            Operator::StringBeginsWith { values } => text(How::Begins, values, false),
            Operator::StringNotBeginsWith { values } => text(How::Begins, values, true),
            Operator::StringEndsWith { values } => text(How::Ends, values, false),
            Operator::StringNotEndsWith { values } => text(How::Ends, values, true),
            Operator::IsNullOrUndefined => Self::Null(true),
            Operator::IsNotNull => Self::Null(false),
        }
    }

    /// Whether it holds where the key is missing or null. The documentation of each operator says which:
    /// the "not in" ones match, "StringNotContains" and its kin do not.
    fn holds_without_value(&self) -> bool {
        match self {
            Self::Number { negated, .. } => *negated,
            Self::Text {
                how: How::Equals,
                negated,
                ..
            } => *negated,
            Self::Text { .. } | Self::Bool(_) => false,
            Self::Null(wanted) => *wanted,
        }
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Null(wanted) => !wanted,
            Self::Bool(wanted) => value.as_bool() == Some(*wanted),
            Self::Number { ranges, negated } => value.as_f64().is_some_and(|number| {
                ranges.iter().any(|range| range.contains(number)) != *negated
            }),
            Self::Text {
                how,
                values,
                negated,
            } => value.as_str().is_some_and(|text| {
                let text = text.to_lowercase();
                values.iter().any(|wanted| how.holds(&text, wanted)) != *negated
            }),
        }
    }

    /// On arrays: "positive operators match if any element matches; not-operators fail if any element matches".
    fn holds_for_any(&self, items: &[Value]) -> bool {
        let negated = matches!(
            self,
            Self::Number { negated: true, .. } | Self::Text { negated: true, .. }
        );
        let mut values = items.iter().filter(|item| self.has_type_of(item));
        if negated {
            values.all(|item| self.holds(item))
        } else {
            values.any(|item| self.holds(item))
        }
    }

    fn has_type_of(&self, value: &Value) -> bool {
        match self {
            Self::Number { .. } => value.is_number(),
            Self::Bool(_) => value.is_boolean(),
            Self::Text { .. } => value.is_string(),
            Self::Null(_) => true,
        }
    }
}

impl How {
    fn holds(self, text: &str, wanted: &str) -> bool {
        match self {
            Self::Equals => text == wanted,
            Self::Contains => text.contains(wanted),
            Self::Begins => text.starts_with(wanted),
            Self::Ends => text.ends_with(wanted),
        }
    }
}

impl Range {
    fn points(values: &[f64]) -> Vec<Self> {
        values
            .iter()
            .map(|&value| Self {
                low: value,
                high: value,
                open: false,
            })
            .collect()
    }

    fn closed(values: &[[f64; 2]]) -> Vec<Self> {
        values
            .iter()
            .map(|&[low, high]| Self {
                low,
                high,
                open: false,
            })
            .collect()
    }

    fn below(high: f64, open: bool) -> Self {
        Self {
            low: f64::NEG_INFINITY,
            high,
            open,
        }
    }

    fn above(low: f64, open: bool) -> Self {
        Self {
            low,
            high: f64::INFINITY,
            open,
        }
    }

    fn contains(self, number: f64) -> bool {
        if self.open {
            self.low < number && number < self.high
        } else {
            self.low <= number && number <= self.high
        }
    }
}

#[cfg(test)]
mod tests;
