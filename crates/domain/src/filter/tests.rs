use serde_json::json;
use wire::arm::field::Fields;

use super::*;

fn holds(filter: Value, data: Value) -> bool {
    holds_with(json!({ "advancedFilters": [filter] }), data)
}

fn holds_with(spec: Value, data: Value) -> bool {
    check(spec, "Contoso.Made", "/blue/Chairs", data).is_ok()
}

fn parsed(spec: &Value) -> Spec {
    Spec::parse(&Fields::of(spec.as_object().unwrap())).unwrap()
}

fn check(spec: Value, event_type: &str, subject: &str, data: Value) -> Result<(), Miss> {
    let envelope = json!({"id": "1", "topic": "/topics/t", "eventType": event_type, "subject": subject,
        "dataVersion": "1.0", "data": data});
    let filter = Filter::compile(&parsed(&spec));
    filter.check(&View {
        event_type,
        subject,
        envelope: &envelope,
    })
}

#[test]
fn types_and_subjects_are_compared_as_configured() {
    let ok = |spec| check(spec, "Contoso.Made", "/blue/Chairs", json!({}));
    assert_eq!(ok(json!({"includedEventTypes": ["contoso.MADE"]})), Ok(()));
    assert_eq!(ok(json!({"includedEventTypes": ["All"]})), Ok(()));
    assert_eq!(
        ok(json!({"includedEventTypes": ["Contoso.Sold"]})),
        Err(Miss::EventType)
    );
    assert_eq!(ok(json!({"subjectBeginsWith": "/BLUE/"})), Ok(()));
    assert_eq!(
        ok(json!({"subjectBeginsWith": "/BLUE/", "isSubjectCaseSensitive": true})),
        Err(Miss::SubjectBegins)
    );
    assert_eq!(ok(json!({"subjectEndsWith": "chairs"})), Ok(()));
    assert_eq!(
        ok(json!({"subjectEndsWith": "tables"})),
        Err(Miss::SubjectEnds)
    );
}

/// Each operator against a value that matches, one that does not, and a missing key (the page's table 1.10).
#[test]
fn every_operator_follows_the_table() {
    let op = |name: &str, operand: Value| {
        let mut filter = json!({"operatorType": name, "key": "data.k"});
        filter
            .as_object_mut()
            .unwrap()
            .extend(operand.as_object().unwrap().clone());
        filter
    };
    let numbers = json!({"values": [1, 2.5]});
    let ranges = json!({"values": [[1, 2], [5, 6]]});
    let texts = json!({"values": ["Abc", "x"]});
    #[rustfmt::skip]
    let table = [
        ("NumberIn", numbers.clone(), json!(2.5), json!(3), false),
        ("NumberNotIn", numbers, json!(3), json!(1), true),
        ("NumberLessThan", json!({"value": 5}), json!(4.9), json!(5), false),
        ("NumberLessThanOrEquals", json!({"value": 5}), json!(5), json!(5.1), false),
        ("NumberGreaterThan", json!({"value": 5}), json!(6), json!(5), false),
        ("NumberGreaterThanOrEquals", json!({"value": 5}), json!(5), json!(4), false),
        ("NumberInRange", ranges.clone(), json!(6), json!(3), false),
        ("NumberNotInRange", ranges, json!(3), json!(1.5), true),
        ("BoolEquals", json!({"value": true}), json!(true), json!(false), false),
        ("StringIn", texts.clone(), json!("ABC"), json!("abcd"), false),
        ("StringNotIn", texts.clone(), json!("abcd"), json!("abc"), true),
        ("StringContains", texts.clone(), json!("zabcz"), json!("ab"), false),
        ("StringNotContains", texts.clone(), json!("ab"), json!("zABCz"), false),
        ("StringBeginsWith", texts.clone(), json!("abcd"), json!("zabc"), false),
        ("StringNotBeginsWith", texts.clone(), json!("zabc"), json!("abcd"), false),
        ("StringEndsWith", texts.clone(), json!("zAbC"), json!("abcd"), false),
        ("StringNotEndsWith", texts, json!("abcd"), json!("zabc"), false),
        ("IsNotNull", json!({}), json!(0), json!(null), false),
        ("IsNullOrUndefined", json!({}), json!(null), json!(0), true),
    ];
    for (name, operand, yes, no, missing) in table {
        let filter = op(name, operand);
        assert!(
            holds(filter.clone(), json!({"k": yes})),
            "{name} with {yes}"
        );
        assert!(!holds(filter.clone(), json!({"k": no})), "{name} with {no}");
        assert_eq!(
            holds(filter.clone(), json!({})),
            missing,
            "{name} without the key"
        );
        if !name.starts_with("Is") {
            assert!(
                !holds(filter, json!({"k": {"of": "another type"}})),
                "{name} with an object"
            );
        }
    }
}

#[test]
fn keys_reach_into_data_and_envelope_without_regard_to_case() {
    let key =
        |key: &str, value: &str| json!({"operatorType": "StringIn", "key": key, "values": [value]});
    let data = json!({"To": {"PhoneNumber": {"value": "+1555"}}});
    assert!(holds(
        key("data.to.phoneNumber.value", "+1555"),
        data.clone()
    ));
    assert!(holds(key("EVENTTYPE", "contoso.made"), data.clone()));
    assert!(!holds(key("data.to.phoneNumber.value.more", "+1555"), data));
}

#[test]
fn arrays_are_looked_into_only_when_asked() {
    let spec = |on: bool, operator: &str, values: Value| {
        json!({
            "enableAdvancedFilteringOnArrays": on,
            "advancedFilters": [{"operatorType": operator, "key": "data.k", "values": values}]
        })
    };
    let data = json!({"k": ["a", "b"]});
    assert!(!holds_with(
        spec(false, "StringIn", json!(["a"])),
        data.clone()
    ));
    assert!(holds_with(
        spec(true, "StringIn", json!(["a"])),
        data.clone()
    ));
    assert!(!holds_with(
        spec(true, "StringNotIn", json!(["a"])),
        data.clone()
    ));
    assert!(holds_with(spec(true, "StringNotIn", json!(["c"])), data));
}

#[test]
fn the_part_that_says_no_is_named() {
    let spec = json!({"advancedFilters": [
        {"operatorType": "IsNotNull", "key": "id"},
        {"operatorType": "IsNotNull", "key": "data.missing"}
    ]});
    assert_eq!(check(spec, "t", "s", json!({})), Err(Miss::Advanced(1)));
}
/// "CE schema: `id, source, type, specversion`, extension attributes, or `data.a.b`."
#[test]
fn keys_of_cloud_events_are_their_attributes() {
    let envelope = json!({"specversion": "1.0", "id": "1", "source": "/shop", "type": "T",
        "shop": "Bonn", "data": {"n": 1}});
    for (key, value) in [
        ("id", "1"),
        ("source", "/SHOP"),
        ("Type", "t"),
        ("specVersion", "1.0"),
        ("shop", "bonn"),
    ] {
        let spec = json!({"advancedFilters": [
            {"operatorType": "StringIn", "key": key, "values": [value]},
            {"operatorType": "NumberIn", "key": "data.n", "values": [1]},
            {"operatorType": "IsNullOrUndefined", "key": "eventType"}
        ]});
        let filter = Filter::compile(&parsed(&spec));
        let view = View {
            event_type: "T",
            subject: "",
            envelope: &envelope,
        };
        assert_eq!(filter.check(&view), Ok(()), "{key}");
    }
}

/// "Positive operators match if any element matches; Not-operators fail if any element matches. Arrays of objects are
/// not supported."
