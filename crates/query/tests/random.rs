//! Random queries of random entries: whatever is made of a query, it selects the same.

mod world;

use ctnetlink::Entry;
use proptest::prelude::*;
use query::{Query, Vocabulary};
use world::{NOW, entry, trees, vocabulary};

fn matches(text: &str, entry: &Entry, vocabulary: &Vocabulary) -> bool {
    Query::parse(text, vocabulary)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .matches(entry, NOW)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn a_query_selects_what_its_parts_do(
        tree in trees(),
        entries in proptest::collection::vec(entry(), 20),
    ) {
        let vocabulary = vocabulary();
        let text = tree.text();
        let query = Query::parse(&text, &vocabulary).unwrap();
        let explanation = query.explain();
        let printed = query.to_string();
        let again = Query::parse(&printed, &vocabulary).unwrap();
        prop_assert_eq!(again.to_string(), printed.clone(), "the usual spelling is stable");
        for entry in &entries {
            let expected = tree.holds(entry, &vocabulary);
            prop_assert_eq!(query.matches(entry, NOW), expected, "{} of {:?}", text, entry);
            prop_assert_eq!(again.matches(entry, NOW), expected, "{} of {:?}", printed, entry);
            let in_kernel = query.filters().iter().any(|filter| filter.matches(entry));
            prop_assert!(in_kernel || !expected, "the kernel would hide {:?} from {}", entry, text);
            if query.is_any() {
                prop_assert!(expected, "{text} is not everything");
            }
            // Kernel part and rest together are the query.
            let rest = match &explanation.rest {
                Some(rest) => Query::parse(rest, &vocabulary).unwrap().matches(entry, NOW),
                None => true,
            };
            prop_assert_eq!(in_kernel && rest, expected, "{} of {:?}", text, entry);
            // So are the program's part, in words, and what that leaves.
            let is_copied = explanation.walk.is_empty()
                || explanation.walk.iter().any(|part| matches(part, entry, &vocabulary));
            prop_assert!(is_copied || !expected, "the walk would hide {:?} from {}", entry, text);
            let rest = explanation.walk_rest.as_ref();
            let rest = rest.is_none_or(|rest| matches(rest, entry, &vocabulary));
            let is_possible = explanation.requests > 0;
            prop_assert_eq!(
                is_possible && is_copied && rest, expected, "{} of {:?}: {:?}", text, entry, explanation
            );
            for warning in &explanation.warnings {
                let part: String =
                    text.chars().skip(warning.offset).take(warning.length).collect();
                // What stands between its first and its last term may lack an outer parenthesis.
                if let Ok(part) = Query::parse(&part, &vocabulary)
                    && warning.code != "no-protocol"
                    && part.to_string() == warning.message.split(": ").next().unwrap_or_default()
                {
                    let always = warning.code == "always-true";
                    prop_assert_eq!(part.matches(entry, NOW), always, "{:?}", warning);
                }
            }
        }
    }
}
