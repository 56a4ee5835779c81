//! The `filter` of an event subscription, as ARM writes it.
//!
//! Specification: `EventSubscriptionFilter` of Microsoft.EventGrid 2025-02-15; the limits are those of "Understand
//! event filtering for Event Grid subscriptions".

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which events a subscription wants. All parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// Event types; absent, null or `["All"]` means every type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub included_event_types: Option<Vec<String>>,
    /// The subject must begin with this.
    pub subject_begins_with: Option<String>,
    /// The subject must end with this.
    pub subject_ends_with: Option<String>,
    /// Whether the two above mind the case.
    pub is_subject_case_sensitive: Option<bool>,
    /// Whether advanced filters look into arrays.
    pub enable_advanced_filtering_on_arrays: Option<bool>,
    /// All of these must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advanced_filters: Option<Vec<AdvancedFilter>>,
}

/// One advanced filter: an operator, the key it looks at, and its operand.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct AdvancedFilter {
    /// Where in the event: an envelope field, or `data.…`.
    pub key: String,
    /// What must hold for the value found there.
    #[serde(flatten)]
    pub operator: Operator,
}

/// The nineteen operators with their operands.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "operatorType")]
#[expect(
    missing_docs,
    reason = "the names are the documentation: they are the wire's own"
)]
pub enum Operator {
    NumberIn { values: Vec<f64> },
    NumberNotIn { values: Vec<f64> },
    NumberLessThan { value: f64 },
    NumberLessThanOrEquals { value: f64 },
    NumberGreaterThan { value: f64 },
    NumberGreaterThanOrEquals { value: f64 },
    NumberInRange { values: Vec<[f64; 2]> },
    NumberNotInRange { values: Vec<[f64; 2]> },
    BoolEquals { value: bool },
    StringIn { values: Vec<String> },
    StringNotIn { values: Vec<String> },
    StringContains { values: Vec<String> },
    StringNotContains { values: Vec<String> },
    StringBeginsWith { values: Vec<String> },
    StringNotBeginsWith { values: Vec<String> },
    StringEndsWith { values: Vec<String> },
    StringNotEndsWith { values: Vec<String> },
    IsNullOrUndefined,
    IsNotNull,
}

/// Why a filter is refused; the text names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The JSON has another shape.
    #[error("filter: {0}")]
    Shape(String),
    /// More filters than one subscription may have.
    #[error("filter.advancedFilters: {0} filters; at most {MOST_FILTERS} are allowed")]
    TooManyFilters(usize),
    /// More values than all filters of one subscription may have together.
    #[error("filter.advancedFilters: {0} values in all; at most {MOST_VALUES} are allowed")]
    TooManyValues(usize),
    /// A filter without a value can never hold.
    #[error("filter.advancedFilters[{0}].values: at least one value is needed")]
    NoValues(usize),
    /// A filter's key is empty or has an empty part.
    #[error(
        "filter.advancedFilters[{0}].key: '{1}' is no key; use an envelope field or data.<property>"
    )]
    BadKey(usize, String),
    /// A string value is too long.
    #[error(
        "filter.advancedFilters[{0}].values: a value is longer than {LONGEST_VALUE} characters"
    )]
    ValueTooLong(usize),
}

/// Advanced filters in one subscription.
pub const MOST_FILTERS: usize = 25;
/// Values in all advanced filters of one subscription.
pub const MOST_VALUES: usize = 25;
/// Characters in one string value.
pub const LONGEST_VALUE: usize = 512;

impl Filter {
    /// Reads a filter and checks its limits. `null` is a filter that wants everything.
    pub fn parse(json: &Value) -> Result<Self, Error> {
        if json.is_null() {
            return Ok(Self::default());
        }
        let filter = Self::deserialize(json).map_err(|error| Error::Shape(error.to_string()))?;
        filter.check()?;
        Ok(filter)
    }

    fn check(&self) -> Result<(), Error> {
        let filters = self.advanced_filters.as_deref().unwrap_or_default();
        // "25 advanced filters and 25 filter values across all the filters per event grid subscription."
        if filters.len() > MOST_FILTERS {
            return Err(Error::TooManyFilters(filters.len()));
        }
        let values = filters.iter().map(|filter| filter.operator.values()).sum();
        if values > MOST_VALUES {
            return Err(Error::TooManyValues(values));
        }
        for (index, filter) in filters.iter().enumerate() {
            if filter.key.split('.').any(|part| part.trim().is_empty()) {
                return Err(Error::BadKey(index, filter.key.clone()));
            }
            if filter.operator.values() == 0 && filter.operator.has_operand() {
                return Err(Error::NoValues(index));
            }
            // "Each string value is limited to 512 characters."
            if filter
                .operator
                .strings()
                .iter()
                .any(|value| value.chars().count() > LONGEST_VALUE)
            {
                return Err(Error::ValueTooLong(index));
            }
        }
        Ok(())
    }
}

impl Operator {
    fn has_operand(&self) -> bool {
        !matches!(self, Self::IsNullOrUndefined | Self::IsNotNull)
    }

    fn values(&self) -> usize {
        match self {
            Self::NumberIn { values } | Self::NumberNotIn { values } => values.len(),
            Self::NumberInRange { values } | Self::NumberNotInRange { values } => values.len(),
            Self::NumberLessThan { .. }
            | Self::NumberLessThanOrEquals { .. }
            | Self::NumberGreaterThan { .. }
            | Self::NumberGreaterThanOrEquals { .. }
            | Self::BoolEquals { .. } => 1,
            Self::IsNullOrUndefined | Self::IsNotNull => 0,
            _ => self.strings().len(),
        }
    }

    fn strings(&self) -> &[String] {
        match self {
            Self::StringIn { values }
            | Self::StringNotIn { values }
            | Self::StringContains { values }
            | Self::StringNotContains { values }
            | Self::StringBeginsWith { values }
            | Self::StringNotBeginsWith { values }
            | Self::StringEndsWith { values }
            | Self::StringNotEndsWith { values } => values,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What azure-mgmt-eventgrid 10.4.0 sends (the page's "PUT body as Python sends it").
    fn as_python_sends_it() -> Value {
        json!({
            "subjectBeginsWith": "/caller/",
            "includedEventTypes": ["Microsoft.Communication.IncomingCall"],
            "isSubjectCaseSensitive": false,
            "enableAdvancedFilteringOnArrays": true,
            "advancedFilters": [
                {"operatorType": "StringContains", "key": "data.to.rawId", "values": ["8:acs:"]},
                {"operatorType": "NumberInRange", "key": "data.x", "values": [[1.0, 2.5], [3.0, 4.0]]},
                {"operatorType": "BoolEquals", "key": "data.b", "value": true},
                {"operatorType": "IsNotNull", "key": "data.n"}
            ]
        })
    }

    #[test]
    fn a_real_filter_is_read_and_written_back() {
        let filter = Filter::parse(&as_python_sends_it()).unwrap();
        let filters = filter.advanced_filters.as_ref().unwrap();
        assert_eq!(
            filters[1].operator,
            Operator::NumberInRange {
                values: vec![[1.0, 2.5], [3.0, 4.0]]
            }
        );
        let written = serde_json::to_value(&filter).unwrap();
        assert_eq!(
            written["advancedFilters"],
            as_python_sends_it()["advancedFilters"]
        );
        assert_eq!(Filter::parse(&Value::Null), Ok(Filter::default()));
    }

    #[test]
    fn limits_name_the_field() {
        let with = |filters: Vec<Value>| Filter::parse(&json!({ "advancedFilters": filters }));
        let one = |key: &str, values: Value| json!({"operatorType": "StringIn", "key": key, "values": values});
        assert_eq!(
            with(vec![one("data.a", json!([]))]),
            Err(Error::NoValues(0))
        );
        assert_eq!(
            with(vec![one("data.", json!(["x"]))]),
            Err(Error::BadKey(0, "data.".into()))
        );
        assert_eq!(
            with(vec![one("data.a", json!(["x".repeat(513)]))]),
            Err(Error::ValueTooLong(0))
        );
        assert_eq!(
            with(vec![one("data.a", json!(vec!["x"; 26]))]),
            Err(Error::TooManyValues(26))
        );
        assert_eq!(
            with(vec![json!({"operatorType": "IsNotNull", "key": "id"}); 26]),
            Err(Error::TooManyFilters(26))
        );
        let shape = with(vec![
            json!({"operatorType": "StringLike", "key": "id", "values": []}),
        ]);
        assert!(
            matches!(&shape, Err(Error::Shape(text)) if text.contains("StringLike")),
            "{shape:?}"
        );
    }

    proptest! {
        #[test]
        fn no_json_makes_the_parser_panic(text in r#"[\[\]{}",:a-zA-Z0-9.]{0,200}"#) {
            if let Ok(json) = serde_json::from_str(&text) {
                let _ = Filter::parse(&json);
            }
        }
    }
}
