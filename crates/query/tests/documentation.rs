//! docs/query.md says what is so: its queries are queries, its tables are the language's, what it
//! shows of explanations and errors is what comes out.

use query::{Field, Flag, Kind, MarkNames, Query, QueryError, Vocabulary};

const DOCUMENT: &str = include_str!("../../../docs/query.md");

fn vocabulary() -> Vocabulary {
    let names = |shift, mask, names: &[(u32, &str)]| MarkNames {
        shift,
        mask,
        names: names
            .iter()
            .map(|&(number, name)| (number, name.to_owned()))
            .collect(),
    };
    Vocabulary {
        provider: names(16, 0xffff, &[(1, "wan1"), (2, "lte backup")]),
        app: names(8, 0xff, &[(5, "DNS"), (9, "NTP")]),
        prio: names(0, 0xff, &[(0, "default"), (1, "high")]),
        local: Box::new(|| Ok(vec!["203.0.113.5/32".parse().unwrap()])),
        ..Vocabulary::default()
    }
}

/// The fenced blocks of a sort: what stands behind the sort on the fence, and the text.
fn blocks(sort: &str) -> Vec<(&'static str, &'static str)> {
    let mut parts = DOCUMENT.split("```").skip(1).step_by(2).collect::<Vec<_>>();
    assert!(
        DOCUMENT.split("```").count() % 2 == 1,
        "a fence is not closed"
    );
    parts.retain(|part| part.split([' ', '\n']).next() == Some(sort));
    assert!(!parts.is_empty(), "no block of {sort}");
    let split = |part: &'static str| {
        let (info, text) = part.split_once('\n').unwrap();
        (info.strip_prefix(sort).unwrap_or_default().trim(), text)
    };
    parts.into_iter().map(split).collect()
}

fn parse(text: &str) -> Query {
    Query::parse(text, &vocabulary())
        .unwrap_or_else(|error| panic!("{text}: {error}; {}", error.hint))
}

/// The cells of the rows of the table whose heading begins with a word; `\|` is no border.
fn table(heading: &str) -> Vec<Vec<String>> {
    let start = DOCUMENT.find(&format!("\n| {heading} |")).expect(heading) + 1;
    let rows = DOCUMENT.get(start..).unwrap_or_default();
    let rows = rows.lines().take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let row = row.replace("\\|", "¦");
        let inner = row.trim_matches('|').split('|');
        inner.map(|cell| cell.trim().replace('¦', "|")).collect()
    };
    rows.skip(2).map(cells).collect()
}

/// The text behind `$ tracklight … '`, and the lines below.
fn shown(block: &str) -> (&str, Vec<&str>) {
    let (command, output) = block.split_once('\n').unwrap();
    let query = command
        .strip_suffix('\'')
        .and_then(|command| command.split_once('\''));
    (query.expect(command).1, output.lines().collect())
}

#[test]
fn queries_of_the_document_are_queries() {
    let mut count = 0;
    for (_, block) in blocks("query") {
        for line in block.lines() {
            assert!(!parse(line).to_string().is_empty(), "{line}");
            count += 1;
        }
    }
    for (_, block) in blocks("query-file") {
        assert!(!parse(block).to_string().is_empty(), "{block}");
    }
    assert!(count > 20, "only {count} were found");
    let grouped = parse("udp or tcp and snat").to_string();
    assert!(
        DOCUMENT.contains(&format!("`udp or tcp and snat` is `{grouped}`")),
        "{grouped}"
    );
}

#[test]
fn wrong_queries_of_the_document_are_wrong_as_it_says() {
    let codes: Vec<_> = table("code")
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    let mut shown_codes = Vec::new();
    for (code, block) in blocks("query-error") {
        let error = Query::parse(block.trim_end(), &vocabulary()).expect_err(block);
        assert_eq!(error.code, code, "{block}");
        shown_codes.push(format!("`{code}`"));
    }
    let long = " ".repeat(256 * 1024);
    assert!(Query::parse(&long, &vocabulary()).is_ok());
    for large in [format!("{long} "), "(".repeat(101), "!".repeat(101)] {
        let error = Query::parse(&large, &vocabulary()).unwrap_err();
        assert_eq!(error.code, "query-too-large");
    }
    shown_codes.push("`query-too-large`".to_owned());
    assert_eq!(codes, shown_codes);
}

#[test]
fn explanations_are_as_shown() {
    for (_, block) in blocks("explain") {
        let (text, lines) = shown(block);
        let explanation = parse(text).explain();
        let mut expected = vec![format!("query   {}", explanation.parsed)];
        let alternatives = |name: &str, all: &[String]| {
            let names = std::iter::once(name).chain(std::iter::repeat("    or"));
            let lines = names.zip(all).map(|(name, one)| format!("{name:<8}{one}"));
            lines.collect::<Vec<_>>()
        };
        expected.extend(alternatives("kernel", &explanation.kernel));
        match (explanation.requests, explanation.kernel.len()) {
            (0, _) => expected.push("kernel  is not asked: no connection can be such".to_owned()),
            (_, 0) => expected.push("kernel  sends every entry".to_owned()),
            (1, _) => expected.push("        in one walk of the table".to_owned()),
            (walks, _) => expected.push(format!("        in {walks} walks of the table")),
        }
        if explanation.requests > 0 {
            let rest =
                |rest: &Option<String>| format!("rest    {}", rest.as_deref().unwrap_or("nothing"));
            expected.push(rest(&explanation.rest));
            if explanation.walk.is_empty() {
                expected.push("bpf     copies every entry".to_owned());
            }
            expected.extend(alternatives("bpf", &explanation.walk));
            expected.push(rest(&explanation.walk_rest));
        }
        for warning in &explanation.warnings {
            expected.push(format!("warning {} [{}]", warning.message, warning.code));
        }
        assert_eq!(lines, expected, "{text}");
    }
}

fn error_of(text: &str) -> QueryError {
    Query::parse(text, &vocabulary()).expect_err(text)
}

#[test]
fn errors_are_as_shown() {
    for (_, block) in blocks("error") {
        let (text, lines) = shown(block);
        let error = error_of(text);
        let mut expected = vec![format!("tracklight: {error} [{}]", error.code)];
        expected.extend(error.marked(text).lines().map(|line| format!("  {line}")));
        expected.push(format!("  hint: {}", error.hint));
        assert_eq!(lines, expected, "{text}");
        let json = serde_json::to_string(&error).unwrap();
        assert_eq!(blocks("json")[0].1.trim_end(), json, "{text}");
    }
}

/// Compares a table, and prints what it should be.
fn assert_table(found: &[Vec<String>], expected: &[Vec<String>]) {
    let lines = expected
        .iter()
        .map(|row| format!("| {} |\n", row.join(" | ")))
        .collect::<String>();
    assert!(found == expected, "the table should be:\n{lines}");
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn without_dot(text: &str) -> String {
    text.trim_end_matches('.').to_owned()
}

#[test]
fn tables_of_fields_and_flags_are_complete() {
    let field = |&field: &Field| {
        let names: Vec<_> = field.names().iter().map(|name| code(name)).collect();
        vec![
            names.join(", "),
            without_dot(field.meaning()),
            code(field.example()),
        ]
    };
    let fields: Vec<_> = Field::ALL.iter().map(field).collect();
    assert_table(&table("field"), &fields);
    let flag = |flag: &Flag| vec![code(flag.name()), without_dot(flag.meaning())];
    let flags: Vec<_> = Flag::ALL.iter().map(flag).collect();
    // The table of the command line's flags has another heading beside it.
    assert_table(&table("flag | holds if"), &flags);
    for field in Field::ALL {
        let printed = parse(field.example()).to_string();
        assert!(printed.starts_with(field.name()), "{printed}");
    }
}

#[test]
fn every_kind_takes_the_operators_of_its_row() {
    let rows = table("kind of field");
    let has = |row: &str, column: usize| {
        let row = rows.iter().find(|cells| cells[0].starts_with(row));
        row.expect("a row")[column] == "yes"
    };
    for field in Field::ALL {
        let (row, value) = match field.kind() {
            Kind::Address => ("addresses", "10.0.0.1"),
            Kind::Protocol => ("protocol", "tcp"),
            Kind::Family => ("protocol", "ipv4"),
            Kind::State => ("protocol", "CLOSED"),
            Kind::Label => ("protocol", "1"),
            Kind::Port | Kind::Number(_) | Kind::Size | Kind::Count | Kind::Duration => {
                ("ports", "1")
            }
            Kind::Bits(_) => ("bits", "1"),
            Kind::Mark(_) => ("`provider`", "1"),
            Kind::Text => ("text", "x"),
        };
        let columns: [&[&str]; 5] = [
            &["==", "!="],
            &["in", "not in"],
            &["<=", ">="],
            &["~", "!~"],
            &["& 1 =="],
        ];
        for (index, operators) in columns.iter().enumerate() {
            for operator in *operators {
                let text = format!("{} {operator} {value}", field.name());
                let parsed = Query::parse(&text, &vocabulary());
                assert_eq!(parsed.is_ok(), has(row, index + 1), "{text}: {parsed:?}");
                if let Err(error) = parsed {
                    assert_eq!(error.code, "query-comparison", "{text}");
                }
            }
        }
    }
}
