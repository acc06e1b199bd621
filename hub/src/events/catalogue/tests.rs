//! The catalogue against a whole validator.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn reference(event_type: &EventType) -> jsonschema::Validator {
    jsonschema::draft202012::new(&event_type.schema).unwrap()
}

#[test]
fn every_type_has_a_valid_schema_that_its_example_satisfies() {
    let types = list();
    assert_eq!(types.len(), FILES.len());
    for known in &types {
        assert!(jsonschema::meta::is_valid(&known.schema), "{}", known.event_type);
        assert_eq!(known.schema["$id"], format!("urn:trastienda:event:{}", known.event_type));
        assert!(reference(known).is_valid(&known.example), "{}", known.event_type);
        assert!(
            check(&known.event_type, known.example.as_object().unwrap()).is_empty(),
            "{}",
            known.event_type
        );
        assert!(["shop", "hub", "both"].contains(&known.source.as_str()) && !known.description.is_empty());
    }
}

#[test]
fn the_page_about_event_types_says_what_the_catalogue_says() {
    let page = include_str!("../../../../docs/event-types.md");
    for known in list() {
        let row = format!("| `{}` |", known.event_type);
        let line = page.lines().find(|line| line.starts_with(&row)).unwrap_or_default();
        assert!(line.contains(&known.description), "{}", known.event_type);
    }
}

#[test]
fn what_shops_already_send_is_taken() {
    for (event_type, data) in [
        ("order.created", json!({"order_id": "A-1"})),
        (
            "order.created",
            json!({"order_id": "A-1", "total": 1500.5, "items": {"0": "mate"}, "note": [1], "x": null}),
        ),
        ("order.created", json!({"order_id": "A-1", "total": "1.500,00", "customer_name": null})),
        ("order.paid", json!({"order_id": "A-1", "total": "10.00", "anything": {"else": true}})),
        ("stock.low", json!({"sku": 1})),
    ] {
        assert!(check(event_type, data.as_object().unwrap()).is_empty(), "{event_type} {data}");
    }
}

#[test]
fn what_is_wrong_is_pointed_at() {
    let data =
        json!({"payment_id": "pay_1", "order_id": "", "status": "settled", "amount": 15, "currency": "peso"});
    let errors = check("payment.paid", data.as_object().unwrap());
    let mut pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        ["/data/amount", "/data/currency", "/data/order_id", "/data/payment_id", "/data/status"]
    );
    let errors = check("endpoint.disabled", &Map::new());
    assert_eq!(errors.len(), 4);
    assert_eq!(errors[0].message, "is required in events of this type");
}

#[test]
fn a_keyword_that_is_not_checked_cannot_be_used() {
    assert!(Rule::compile(&json!({"type": "object", "additionalProperties": false})).is_err());
    assert!(Rule::compile(&json!({"type": "thing"})).is_err());
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        Just(json!(1.0)),
        Just(json!(0.5)),
        "[a-z]{0,3}".prop_map(Value::from),
        Just(json!("paid")),
        Just(json!("email")),
        Just(json!("10.00")),
        Just(json!("ARS")),
        Just(json!("x".repeat(129))),
        Just(json!([])),
        Just(json!({})),
    ]
}

proptest! {
    // An example with some members replaced, taken away or added: our verdict is the validator's.
    #[test]
    fn both_checks_agree(index in 0..FILES.len(), changes in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(value())), 0..4)) {
        let known = &list()[index];
        let mut data = known.example.as_object().unwrap().clone();
        let mut names: Vec<String> = known.schema["properties"].as_object().unwrap().keys().cloned().collect();
        names.push("another".to_owned());
        for (which, value) in changes {
            let name = which.get(&names).clone();
            match value {
                Some(value) => { data.insert(name, value); }
                None => { data.remove(&name); }
            }
        }
        let verdict = reference(known).is_valid(&Value::Object(data.clone()));
        prop_assert_eq!(check(&known.event_type, &data).is_empty(), verdict, "{:?}", data);
    }
}
