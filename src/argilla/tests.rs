//! What a real server does with a batch that holds a bad record, where `STILLROOM_ARGILLA_URL` names
//! one: the record is sent unchecked, as one would be that this version of us knows nothing about.

use super::settings::tests::small;
use super::{ArgillaAccess, Client, Dataset, Place, Record, Suggestion, Upserts, Value};

fn record(i: usize) -> Record {
    Record {
        external_id: format!("record-{i}"),
        fields: vec![("text".to_owned(), format!("text {i}"))],
        metadata: vec![("margin".to_owned(), serde_json::json!(0.5))],
        suggestions: vec![Suggestion {
            question: "rating".to_owned(),
            value: Value::Rating(4),
            score: None,
            agent: None,
        }],
    }
}

#[test]
fn real_batches_lose_their_bad_records_only() {
    let Ok(url) = std::env::var("STILLROOM_ARGILLA_URL") else { return };
    let env = |name: &str| (name == "ARGILLA_API_KEY").then(|| "owner.key".to_owned());
    let access = ArgillaAccess::read(&env, Some(url), false);
    let client = Client::new(access.server(None).unwrap()).unwrap();
    let name = format!("bisected-{}", std::process::id());
    let place = Place { dataset: &name, workspace: None };
    let dataset = Dataset::open(&client, place, &small()).unwrap();
    let mut upserts = Upserts::new(&client, &dataset);
    for i in 0..700 {
        let mut record = record(i);
        if i == 333 {
            record.suggestions[0].value = Value::Rating(6);
        }
        if i == 600 {
            record.suggestions[0].agent = Some("a+b".to_owned());
        }
        upserts.add(record, format!("row-{i}")).unwrap();
    }
    let sent = upserts.finish().unwrap();
    assert_eq!((sent.n_taken, sent.n_refused), (698, 2));
    assert_eq!(dataset.n_records(&client).unwrap(), 698);
    let [first, second] = &sent.refused[..] else { panic!("two are named: {:?}", sent.refused) };
    assert_eq!((first.0.as_str(), second.0.as_str()), ("row-333", "row-600"));
    assert!(first.1.contains("6 is not a valid rating"), "{}", first.1);
    assert!(second.1.contains("agent"), "{}", second.1);
}
