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
        ok(json!({"subjectEndsWith": "chairs", "isSubjectCaseSensitive": true})),
        Err(Miss::SubjectEnds)
    );
    let exact = json!({"subjectBeginsWith": "/blue", "subjectEndsWith": "Chairs", "isSubjectCaseSensitive": true});
    assert_eq!(ok(exact), Ok(()));
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

/// "Values inside one filter are ORed", "filters are ANDed", and so are the parts of a filter.
#[test]
fn one_value_is_enough_and_every_part_must_hold() {
    let any = |value: &str| {
        let filter =
            json!({"operatorType": "StringBeginsWith", "key": "data.k", "values": ["a", "b"]});
        holds(filter, json!({"k": value}))
    };
    assert!(any("apple") && any("bean") && !any("corn"));
    let none = |value: &str| {
        let filter =
            json!({"operatorType": "StringNotEndsWith", "key": "data.k", "values": ["a", "b"]});
        holds(filter, json!({"k": value}))
    };
    assert!(!none("cola") && !none("club") && none("corn"));
    let both = |a: u32, b: u32| {
        let spec = json!({"advancedFilters": [
            {"operatorType": "NumberIn", "key": "data.a", "values": [1]},
            {"operatorType": "NumberIn", "key": "data.b", "values": [1]}
        ]});
        holds_with(spec, json!({"a": a, "b": b}))
    };
    assert!(both(1, 1) && !both(1, 2) && !both(2, 1));
    let all = |event_type: &str, subject: &str, n: u32| {
        let spec = json!({
            "includedEventTypes": ["T"], "subjectBeginsWith": "/a", "subjectEndsWith": "z",
            "advancedFilters": [{"operatorType": "NumberIn", "key": "data.n", "values": [1]}]
        });
        check(spec, event_type, subject, json!({ "n": n }))
    };
    assert_eq!(all("T", "/a/z", 1), Ok(()));
    // "Order: event type, subject, advanced filters."
    assert_eq!(all("U", "/b", 2), Err(Miss::EventType));
    assert_eq!(all("T", "/b", 2), Err(Miss::SubjectBegins));
    assert_eq!(all("T", "/a", 2), Err(Miss::SubjectEnds));
    assert_eq!(all("T", "/a/z", 2), Err(Miss::Advanced(0)));
}

/// "Absent, null or `["All"]` is every type"; an empty text about the subject is none.
#[test]
fn a_filter_that_says_nothing_wants_everything() {
    for spec in [
        json!({}),
        json!({"includedEventTypes": null, "advancedFilters": null, "subjectBeginsWith": null}),
        json!({"includedEventTypes": [], "advancedFilters": [], "subjectEndsWith": ""}),
        json!({"includedEventTypes": ["all"]}),
        json!({"includedEventTypes": ["Contoso.Other", "ALL"]}),
    ] {
        assert!(holds_with(spec.clone(), json!({})), "{spec}");
    }
}

/// "A value of the wrong JSON type is ignored (no match)", by the operators that negate too.
#[test]
fn a_value_of_another_type_does_not_match() {
    let op = |name: &str| match name {
        "BoolEquals" => json!({"operatorType": name, "key": "data.k", "value": true}),
        "NumberInRange" | "NumberNotInRange" => {
            json!({"operatorType": name, "key": "data.k", "values": [[1, 2]]})
        }
        "NumberIn" | "NumberNotIn" => json!({"operatorType": name, "key": "data.k", "values": [1]}),
        _ if name.starts_with("Number") => {
            json!({"operatorType": name, "key": "data.k", "value": 1})
        }
        _ => json!({"operatorType": name, "key": "data.k", "values": ["1"]}),
    };
    let numbers = [
        "NumberIn",
        "NumberNotIn",
        "NumberLessThan",
        "NumberLessThanOrEquals",
        "NumberGreaterThan",
        "NumberGreaterThanOrEquals",
        "NumberInRange",
        "NumberNotInRange",
    ];
    let texts = [
        "StringIn",
        "StringNotIn",
        "StringContains",
        "StringNotContains",
        "StringBeginsWith",
        "StringNotBeginsWith",
        "StringEndsWith",
        "StringNotEndsWith",
    ];
    let others = |names: &[&str], values: &[Value]| {
        for (name, value) in names
            .iter()
            .flat_map(|name| values.iter().map(move |v| (name, v)))
        {
            assert!(!holds(op(name), json!({"k": value})), "{name} with {value}");
        }
    };
    others(&numbers, &[json!("1"), json!(true), json!([1]), json!({})]);
    others(&texts, &[json!(1), json!(true), json!(["1"]), json!({})]);
    others(&["BoolEquals"], &[json!("true"), json!(1), json!([true])]);
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
    assert!(!holds(key("data.to.phoneNumber.value.more", "+1555"), data));
    for (name, value) in [
        ("ID", "1"),
        ("EVENTTYPE", "contoso.made"),
        ("subject", "/BLUE/chairs"),
        ("Topic", "/TOPICS/t"),
        ("dataversion", "1.0"),
    ] {
        assert!(holds(key(name, value), json!({})), "{name}");
    }
    let deep = json!({"a": {"b": {"c": {"d": {"e": {"f": "x"}}}}}});
    assert!(holds(key("data.A.b.C.d.E.f", "x"), deep));
    // "`.` is always a separator": a property whose name has one cannot be addressed.
    let dotted = json!({"a.b": "x"});
    assert!(!holds(key("data.a.b", "x"), dotted));
    // The exact spelling goes first.
    let twice = json!({"K": "big", "k": "small"});
    assert!(holds(key("data.K", "big"), twice.clone()));
    assert!(holds(key("data.k", "small"), twice));
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
#[test]
fn arrays_are_looked_into_only_when_asked() {
    let spec = |on: bool, operator: &str, operand: Value| {
        let mut filter = json!({"operatorType": operator, "key": "data.k"});
        let name = if operand.is_array() {
            "values"
        } else {
            "value"
        };
        filter[name] = operand;
        json!({"enableAdvancedFilteringOnArrays": on, "advancedFilters": [filter]})
    };
    let texts = json!({"k": ["Apple", "bean"]});
    let numbers = json!({"k": [1, 5]});
    let flags = json!({"k": [false, true]});
    let mixed = json!({"k": ["1", 1, null, {"n": 1}]});
    for (data, operator, yes, no) in [
        (&texts, "StringIn", json!(["BEAN"]), json!(["be"])),
        (&texts, "StringNotIn", json!(["be"]), json!(["BEAN"])),
        (&texts, "StringContains", json!(["ppl"]), json!(["corn"])),
        (&texts, "StringNotContains", json!(["corn"]), json!(["ppl"])),
        (
            &texts,
            "StringBeginsWith",
            json!(["x", "be"]),
            json!(["ean"]),
        ),
        (
            &texts,
            "StringNotBeginsWith",
            json!(["ean"]),
            json!(["x", "be"]),
        ),
        (&texts, "StringEndsWith", json!(["ple"]), json!(["app"])),
        (&texts, "StringNotEndsWith", json!(["app"]), json!(["ple"])),
        (&numbers, "NumberIn", json!([5]), json!([2])),
        (&numbers, "NumberNotIn", json!([2]), json!([5])),
        (&numbers, "NumberLessThan", json!(2), json!(1)),
        (&numbers, "NumberLessThanOrEquals", json!(1), json!(0)),
        (&numbers, "NumberGreaterThan", json!(4), json!(5)),
        (&numbers, "NumberGreaterThanOrEquals", json!(5), json!(6)),
        (&numbers, "NumberInRange", json!([[4, 6]]), json!([[2, 4]])),
        (
            &numbers,
            "NumberNotInRange",
            json!([[2, 4]]),
            json!([[4, 6]]),
        ),
        (&flags, "BoolEquals", json!(true), json!("none")),
        (&mixed, "StringIn", json!(["1"]), json!(["2"])),
        (&mixed, "NumberNotIn", json!([2]), json!([1])),
    ] {
        assert!(
            holds_with(spec(true, operator, yes.clone()), data.clone()),
            "{operator} {yes}"
        );
        assert!(
            !holds_with(spec(false, operator, yes.clone()), data.clone()),
            "{operator} {yes}"
        );
        if no != "none" {
            assert!(
                !holds_with(spec(true, operator, no.clone()), data.clone()),
                "{operator} {no}"
            );
        }
    }
    let inside = json!({"enableAdvancedFilteringOnArrays": true, "advancedFilters": [
        {"operatorType": "NumberIn", "key": "data.k.n", "values": [1]}]});
    assert!(!holds_with(inside, json!({"k": [{"n": 1}]})));
    let filled = json!({"operatorType": "IsNotNull", "key": "data.k"});
    assert!(holds(filled, json!({"k": []})));
}

#[test]
fn the_part_that_says_no_is_named() {
    let spec = json!({"advancedFilters": [
        {"operatorType": "IsNotNull", "key": "id"},
        {"operatorType": "IsNotNull", "key": "data.missing"}
    ]});
    assert_eq!(check(spec, "t", "s", json!({})), Err(Miss::Advanced(1)));
}
