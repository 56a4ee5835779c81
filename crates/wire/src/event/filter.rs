//! The `filter` of an event subscription, as ARM writes it.
//!
//! Specification: `EventSubscriptionFilter` of Microsoft.EventGrid 2025-02-15; the limits are those of "Understand
//! event filtering for Event Grid subscriptions".

use serde::Serialize;
use serde_json::Value;

use crate::arm::field::{FieldError, Fields};

/// Which events a subscription wants. All parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdvancedFilter {
    /// Where in the event: an envelope field, or `data.…`.
    pub key: String,
    /// What must hold for the value found there.
    #[serde(flatten)]
    pub operator: Operator,
}

/// The nineteen operators with their operands.
#[derive(Clone, Debug, PartialEq, Serialize)]
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

/// Advanced filters in one subscription.
pub const MOST_FILTERS: usize = 25;
/// Values in all advanced filters of one subscription.
pub const MOST_VALUES: usize = 25;
/// Characters in one string value.
pub const LONGEST_VALUE: usize = 512;

impl Filter {
    /// Reads a filter and checks its limits; names compare without regard to case. Without fields it wants everything.
    pub fn parse(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let text = |name| Ok(fields.text(name)?.map(str::to_owned));
        Ok(Self {
            included_event_types: fields.texts("includedEventTypes")?,
            subject_begins_with: text("subjectBeginsWith")?,
            subject_ends_with: text("subjectEndsWith")?,
            is_subject_case_sensitive: fields.flag("isSubjectCaseSensitive")?,
            enable_advanced_filtering_on_arrays: fields.flag("enableAdvancedFilteringOnArrays")?,
            advanced_filters: match fields.value(ADVANCED) {
                Some(_) => Some(advanced(fields)?),
                None => None,
            },
        })
    }
}

/// [`Filter::parse`], refusing names that no filter has. ARM leaves them out: whoever misspells one gets everything.
pub fn parse_strictly(fields: &Fields<'_>) -> Result<Filter, FieldError> {
    let is_known = |name: &str| NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
    match fields.names().find(|name| !is_known(name)) {
        None => Filter::parse(fields),
        Some(name) => {
            let problem = format!("is no part of a filter; there are {}", NAMES.join(", "));
            Err(fields.error(name, problem))
        }
    }
}

fn advanced(fields: &Fields<'_>) -> Result<Vec<AdvancedFilter>, FieldError> {
    let given = fields.objects(ADVANCED)?;
    // "25 advanced filters and 25 filter values across all the filters per event grid subscription."
    if given.len() > MOST_FILTERS {
        return Err(fields.error(ADVANCED, "must have 25 entries at most"));
    }
    let filters = given.iter().map(AdvancedFilter::parse);
    let filters: Vec<_> = filters.collect::<Result<_, _>>()?;
    let values: usize = filters.iter().map(|filter| filter.operator.values()).sum();
    if values > MOST_VALUES {
        let problem = format!("must have 25 values in all at most; it has {values}");
        return Err(fields.error(ADVANCED, problem));
    }
    Ok(filters)
}

impl AdvancedFilter {
    fn parse(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let key = fields.text("key")?.unwrap_or_default();
        if key.split('.').any(|part| part.trim().is_empty()) {
            let problem = format!(
                "is '{key}', which is no key: use a field of the envelope or data.<property>"
            );
            return Err(fields.error("key", problem));
        }
        let operator = Operator::parse(fields)?;
        if operator.values() == 0 && operator.has_operand() {
            return Err(fields.error("values", "must have one entry at least"));
        }
        // "Each string value is limited to 512 characters."
        let is_long = |value: &String| value.chars().count() > LONGEST_VALUE;
        if operator.strings().iter().any(is_long) {
            return Err(fields.error("values", "must have 512 characters each at most"));
        }
        Ok(Self {
            key: key.to_owned(),
            operator,
        })
    }
}

impl Operator {
    fn parse(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let said = fields.text("operatorType")?.unwrap_or_default();
        let is_said = |name: &&str| name.eq_ignore_ascii_case(said);
        Ok(match OPERATORS.into_iter().find(is_said) {
            Some("NumberIn") => Self::NumberIn {
                values: numbers(fields)?,
            },
            Some("NumberNotIn") => Self::NumberNotIn {
                values: numbers(fields)?,
            },
            Some("NumberLessThan") => Self::NumberLessThan {
                value: number(fields)?,
            },
            Some("NumberLessThanOrEquals") => Self::NumberLessThanOrEquals {
                value: number(fields)?,
            },
            Some("NumberGreaterThan") => Self::NumberGreaterThan {
                value: number(fields)?,
            },
            Some("NumberGreaterThanOrEquals") => Self::NumberGreaterThanOrEquals {
                value: number(fields)?,
            },
            Some("NumberInRange") => Self::NumberInRange {
                values: ranges(fields)?,
            },
            Some("NumberNotInRange") => Self::NumberNotInRange {
                values: ranges(fields)?,
            },
            Some("BoolEquals") => Self::BoolEquals {
                value: flag(fields)?,
            },
            Some("StringIn") => Self::StringIn {
                values: texts(fields)?,
            },
            Some("StringNotIn") => Self::StringNotIn {
                values: texts(fields)?,
            },
            Some("StringContains") => Self::StringContains {
                values: texts(fields)?,
            },
            Some("StringNotContains") => Self::StringNotContains {
                values: texts(fields)?,
            },
            Some("StringBeginsWith") => Self::StringBeginsWith {
                values: texts(fields)?,
            },
            Some("StringNotBeginsWith") => Self::StringNotBeginsWith {
                values: texts(fields)?,
            },
            Some("StringEndsWith") => Self::StringEndsWith {
                values: texts(fields)?,
            },
            Some("StringNotEndsWith") => Self::StringNotEndsWith {
                values: texts(fields)?,
            },
            Some("IsNullOrUndefined") => Self::IsNullOrUndefined,
            Some("IsNotNull") => Self::IsNotNull,
            _ => {
                let problem = format!("is '{said}'; it must be one of {}", OPERATORS.join(", "));
                return Err(fields.error("operatorType", problem));
            }
        })
    }

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

fn texts(fields: &Fields<'_>) -> Result<Vec<String>, FieldError> {
    Ok(fields.texts("values")?.unwrap_or_default())
}

fn flag(fields: &Fields<'_>) -> Result<bool, FieldError> {
    let value = fields.flag("value")?;
    value.ok_or_else(|| fields.error("value", "must be true or false"))
}

fn number(fields: &Fields<'_>) -> Result<f64, FieldError> {
    let value = fields.value("value").and_then(Value::as_f64);
    value.ok_or_else(|| fields.error("value", "must be a number"))
}

fn numbers(fields: &Fields<'_>) -> Result<Vec<f64>, FieldError> {
    items(fields, Value::as_f64, "must be a list of numbers")
}

fn ranges(fields: &Fields<'_>) -> Result<Vec<[f64; 2]>, FieldError> {
    let range = |value: &Value| match value.as_array()?.as_slice() {
        [low, high] => Some([low.as_f64()?, high.as_f64()?]),
        _ => None,
    };
    items(fields, range, "must be a list of pairs of numbers")
}

/// The entries of `values`, if `read` takes every one.
fn items<T>(
    fields: &Fields<'_>,
    read: impl Fn(&Value) -> Option<T>,
    problem: &'static str,
) -> Result<Vec<T>, FieldError> {
    let Some(values) = fields.value("values") else {
        return Ok(Vec::new());
    };
    let items = values.as_array();
    let items = items.and_then(|items| items.iter().map(read).collect());
    items.ok_or_else(|| fields.error("values", problem))
}

const ADVANCED: &str = "advancedFilters";
const NAMES: [&str; 6] = [
    "includedEventTypes",
    "subjectBeginsWith",
    "subjectEndsWith",
    "isSubjectCaseSensitive",
    "enableAdvancedFilteringOnArrays",
    ADVANCED,
];
const OPERATORS: [&str; 19] = [
    "NumberIn",
    "NumberNotIn",
    "NumberLessThan",
    "NumberLessThanOrEquals",
    "NumberGreaterThan",
    "NumberGreaterThanOrEquals",
    "NumberInRange",
    "NumberNotInRange",
    "BoolEquals",
    "StringIn",
    "StringNotIn",
    "StringContains",
    "StringNotContains",
    "StringBeginsWith",
    "StringNotBeginsWith",
    "StringEndsWith",
    "StringNotEndsWith",
    "IsNullOrUndefined",
    "IsNotNull",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(filter: &Value) -> Result<Filter, FieldError> {
        let body = json!({ "filter": filter });
        let fields = Fields::of(body.as_object().unwrap());
        Filter::parse(&fields.object("filter")?)
    }

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
        let filter = parse(&as_python_sends_it()).unwrap();
        let filters = filter.advanced_filters.as_ref().unwrap();
        assert_eq!(
            filters[1].operator,
            Operator::NumberInRange {
                values: vec![[1.0, 2.5], [3.0, 4.0]]
            }
        );
        let mut written = serde_json::to_value(&filter).unwrap();
        assert_eq!(written["subjectEndsWith"].take(), Value::Null);
        written.as_object_mut().unwrap().remove("subjectEndsWith");
        assert_eq!(written, as_python_sends_it());
        assert_eq!(parse(&Value::Null), Ok(Filter::default()));
    }

    /// ARM's own parser minds no case: a filter that was overlooked would let every event through.
    #[test]
    fn names_are_read_without_regard_to_case() {
        let filter = parse(&json!({
            "SubjectBeginsWith": "/caller/",
            "INCLUDEDEVENTTYPES": ["Microsoft.Communication.IncomingCall"],
            "isSubjectCasesensitive": false,
            "EnableAdvancedFilteringOnArrays": true,
            "AdvancedFilters": [
                {"OperatorType": "stringcontains", "Key": "data.to.rawId", "Values": ["8:acs:"]},
                {"operatorType": "NUMBERINRANGE", "key": "data.x", "values": [[1, 2.5], [3, 4]]},
                {"operatorType": "BoolEquals", "key": "data.b", "VALUE": true},
                {"operatorType": "isNotNull", "key": "data.n", "values": null}
            ]
        }));
        assert_eq!(filter, parse(&as_python_sends_it()));
    }

    #[test]
    fn a_misspelled_name_is_left_out_or_refused_as_asked() {
        let body = json!({ "subjectBeginWith": "/orders", "subjectEndsWith": "x" });
        let fields = Fields::of(body.as_object().unwrap());
        let read = Filter::parse(&fields).unwrap();
        assert_eq!(
            (read.subject_begins_with, read.subject_ends_with.as_deref()),
            (None, Some("x"))
        );
        let refused = parse_strictly(&fields).unwrap_err().to_string();
        assert!(
            refused.starts_with("'subjectBeginWith' is no part of a filter"),
            "{refused}"
        );
        let sent = as_python_sends_it();
        let fields = Fields::of(sent.as_object().unwrap());
        assert_eq!(parse_strictly(&fields), Filter::parse(&fields));
    }

    #[test]
    fn every_operator_is_read_and_written_under_its_name() {
        for name in OPERATORS {
            let (operand, value) = match name {
                "BoolEquals" => ("value", json!(true)),
                "NumberInRange" | "NumberNotInRange" => ("values", json!([[1.0, 2.0]])),
                "NumberIn" | "NumberNotIn" => ("values", json!([1.0])),
                _ if name.starts_with("Number") => ("value", json!(1.0)),
                _ => ("values", json!(["a"])),
            };
            let mut said = json!({ "key": "data.k", "operatorType": name });
            if !name.starts_with("Is") {
                said[operand] = value;
            }
            let filter = parse(&json!({ "advancedFilters": [said] })).unwrap();
            let written = serde_json::to_value(filter).unwrap();
            assert_eq!(written["advancedFilters"], json!([said]));
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        let with = |filters: Value| {
            let parsed = parse(&json!({ "advancedFilters": filters }));
            parsed.map_err(|error| error.to_string()).unwrap_err()
        };
        let one = |operator: &str, name: &str, operand: Value| {
            let mut filter = json!({"operatorType": operator, "key": "data.a"});
            filter[name] = operand;
            with(json!([filter]))
        };
        let values = "'filter.advancedFilters[0].values'";
        for (operator, operand, words) in [
            ("StringIn", json!([]), "one entry at least"),
            ("StringIn", json!(null), "one entry at least"),
            ("StringIn", json!([1]), "a list of strings"),
            ("StringIn", json!(["x".repeat(513)]), "512 characters"),
            ("NumberNotIn", json!(["1"]), "a list of numbers"),
            ("NumberNotIn", json!(1), "a list of numbers"),
            ("NumberInRange", json!([1, 2]), "pairs of numbers"),
            ("NumberInRange", json!([[1, 2, 3]]), "pairs of numbers"),
        ] {
            let refused = one(operator, "values", operand);
            assert!(
                refused.starts_with(values) && refused.contains(words),
                "{refused}"
            );
        }
        let value = "'filter.advancedFilters[0].value' must be";
        for (operator, operand) in [
            ("NumberLessThan", json!("5")),
            ("NumberGreaterThanOrEquals", json!(null)),
            ("BoolEquals", json!("true")),
            ("BoolEquals", json!(null)),
        ] {
            let refused = one(operator, "value", operand);
            assert!(refused.starts_with(value), "{refused}");
        }
        let of = |count: usize| json!({"operatorType": "StringIn", "key": "id", "values": vec!["x".repeat(512); count]});
        let several = "'filter.advancedFilters' must have 25 values in all";
        assert!(with(json!([of(13), of(13)])).starts_with(several));
        assert!(parse(&json!({ "advancedFilters": [of(12), of(13)] })).is_ok());
        let many = vec![json!({"operatorType": "IsNotNull", "key": "id"}); 26];
        assert!(parse(&json!({ "advancedFilters": many[1..] })).is_ok());
        assert!(with(json!(many)).starts_with("'filter.advancedFilters' must have 25 entries"));
        for key in ["", "data.", ".a", "data..a"] {
            let refused = with(json!([{"operatorType": "IsNotNull", "key": key}]));
            assert!(
                refused.starts_with("'filter.advancedFilters[0].key' is"),
                "{refused}"
            );
        }
        let unknown = one("StringLike", "values", json!(["x"]));
        assert!(
            unknown.contains("is 'StringLike'; it must be one of NumberIn,"),
            "{unknown}"
        );
        let types = parse(&json!({ "includedEventTypes": "All" })).unwrap_err();
        assert_eq!(types.field, "filter.includedEventTypes");
    }

    proptest! {
        #[test]
        fn no_json_makes_the_parser_panic(text in r#"\{("(subjectBeginsWith|includedEventTypes|advancedFilters|isSubjectCaseSensitive)":("a"|1|true|null|\[\]|\["a"\]|\[\{("(key|operatorType|value|values)":("a"|"NumberInRange"|1|\[\]|\[\[1,2\]\]|null),?){0,4}\}\]),?){0,4}\}"#) {
            if let Ok(json) = serde_json::from_str(&text.replace(",}", "}")) {
                let _ = parse(&json);
            }
        }
    }
}
