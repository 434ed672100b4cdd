//! The metrics are what the documents, the alerts, the dashboard and Prometheus itself think they are.

#[path = "metrics/made.rs"]
mod made;
#[path = "metrics/peers.rs"]
mod peers;

use std::collections::BTreeSet;
use std::path::PathBuf;

use made::{full, series, value};
use server::metrics::catalogue::{ALL, Kind, Metric};
use server::metrics::{Format, Inputs, render};

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// Names of all series in a text.
fn names(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(str::to_owned)
        .collect()
}

fn all_names() -> BTreeSet<String> {
    ALL.iter().map(|metric| metric.name()).collect()
}

#[test]
fn all_that_is_in_the_catalogue_is_told_and_nothing_else_in_both_formats() {
    for format in [Format::OpenMetrics, Format::Prometheus] {
        assert_eq!(names(&render(&full(), format)), all_names(), "{format:?}");
    }
}

#[test]
fn numbers_come_out_as_they_went_in() {
    let text = render(&full(), Format::OpenMetrics);
    for (series, expected) in [
        ("tracklight_connections", 1_000.0),
        ("tracklight_connections_limit", 65_536.0),
        (r#"tracklight_protocol_connections{protocol="tcp"}"#, 700.0),
        (r#"tracklight_protocol_connections{protocol="dccp"}"#, 0.0),
        (
            r#"tracklight_state_connections{protocol="tcp",state="ESTABLISHED"}"#,
            600.0,
        ),
        (
            r#"tracklight_state_connections{protocol="tcp",state="CLOSE"}"#,
            0.0,
        ),
        ("tracklight_births_total", 5_000.0),
        ("tracklight_traffic_bytes_total", 123_456_789_012.0),
        (
            r#"tracklight_traffic_bytes_per_second{direction="reply"}"#,
            2_048.5,
        ),
        ("tracklight_kernel_insert_failed_total", 17.0),
        ("tracklight_reading_age_seconds", 2.5),
        ("tracklight_reading_duration_seconds", 0.125),
        ("tracklight_table_complete", 1.0),
        (
            r#"tracklight_reading_info{source="netlink",reason="small"}"#,
            1.0,
        ),
        (r#"tracklight_troubles{code="permission-denied"}"#, 2.0),
        (r#"tracklight_health_findings{severity="warning"}"#, 3.0),
        (r#"tracklight_source_connections{src="10.0.0.5"}"#, 400.0),
        ("process_cpu_seconds_total", 1.5),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn before_the_first_reading_nothing_is_told_of_the_table() {
    let inputs = Inputs {
        table: None,
        ..full()
    };
    let text = render(&inputs, Format::OpenMetrics);
    assert_eq!(value(&text, "tracklight_ready"), Some(0.0));
    for name in names(&text) {
        let is_of_the_table = ["_connections", "_births", "_deaths", "_traffic", "_reading"];
        let is_of_the_table = is_of_the_table.iter().any(|part| name.contains(part));
        assert!(!is_of_the_table || name.contains("source"), "{name}");
    }
}

#[test]
fn what_is_off_or_unknown_is_absent_and_not_zero() {
    let mut inputs = full();
    let table = inputs.table.as_mut().unwrap();
    (table.summary.moved, table.summary.rates) = (None, None);
    (table.summary.limit, table.truth.accounting) = (None, false);
    inputs.kernel.as_mut().unwrap().remove("found");
    inputs.findings = None;
    let told = names(&render(&inputs, Format::OpenMetrics));
    for absent in [
        "tracklight_traffic_bytes_total",
        "tracklight_traffic_bytes_per_second",
        "tracklight_connections_limit",
        "tracklight_kernel_found_total",
        "tracklight_health_findings",
    ] {
        assert!(!told.contains(absent), "{absent}");
    }
    let text = render(&inputs, Format::OpenMetrics);
    assert_eq!(value(&text, "tracklight_accounting_enabled"), Some(0.0));
}

#[test]
fn strange_protocols_and_states_make_no_more_series() {
    let usual = series(&render(&full(), Format::OpenMetrics)).count();
    assert!(usual < 120, "{usual}");
    let mut inputs = full();
    let summary = &mut inputs.table.as_mut().unwrap().summary;
    summary.protocols = (0..=255).map(|number| (number, 1)).collect();
    summary.states = (0..=255)
        .flat_map(|number| [(number, "ODD", 1), (number, "ESTABLISHED", 1)])
        .collect();
    let text = render(&inputs, Format::OpenMetrics);
    // Established is a state of SCTP's too.
    assert_eq!(series(&text).count(), usual + 1, "{text}");
    let other = value(
        &text,
        r#"tracklight_protocol_connections{protocol="other"}"#,
    );
    assert_eq!(other, Some(248.0));
}

#[test]
fn a_hostile_label_stays_within_its_quotes() {
    let mut inputs = full();
    inputs.sources = vec![("a\"} 1\ntracklight_connections 7\\".to_owned(), 1)];
    for format in [Format::OpenMetrics, Format::Prometheus] {
        let text = render(&inputs, format);
        assert_eq!(names(&text), all_names());
        assert_eq!(value(&text, "tracklight_connections"), Some(1_000.0));
    }
}

#[test]
fn names_are_as_prometheus_wants_them() {
    for metric in ALL {
        let Metric {
            family, kind, unit, ..
        } = metric;
        if let Some(unit) = unit {
            assert!(family.ends_with(&format!("_{unit}")), "{family}");
        }
        assert!(
            !family.ends_with("_total") && !family.ends_with("_info"),
            "{family}"
        );
        let is_ours = family.starts_with("tracklight_") || family.starts_with("process_");
        assert!(is_ours, "{family}");
        assert!(
            metric.help.ends_with('.') && !metric.help.contains('\n'),
            "{family}"
        );
        assert!(*kind != Kind::Info || !metric.labels.is_empty(), "{family}");
    }
}

#[test]
fn the_document_has_the_same_list() {
    let mut expected = String::from("| metric | kind | labels | tells |\n|---|---|---|---|\n");
    for metric in ALL {
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        expected += &format!(
            "| `{}` | {} | {} | {} |\n",
            metric.name(),
            metric.kind.name(),
            labels.join(", "),
            metric.help
        );
    }
    let document = read("docs/metrics.md");
    assert!(
        document.contains(&expected),
        "docs/metrics.md lacks:\n\n{expected}"
    );
    for name in mentioned(&document) {
        assert!(all_names().contains(&name), "{name} is no metric");
    }
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_there_are() {
    for path in [
        "packaging/prometheus/tracklight.rules.yml",
        "packaging/prometheus/tests.yml",
        "packaging/grafana/tracklight.json",
    ] {
        let found = mentioned(&read(path));
        assert!(found.len() > 10, "{path}: {found:?}");
        for name in found {
            assert!(all_names().contains(&name), "{path}: {name} is no metric");
        }
    }
}

#[test]
fn the_dashboard_asks_for_its_data_source_and_its_panels_lie_apart() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("packaging/grafana/tracklight.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies on another", panel["title"]);
            }
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}");
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert_eq!(variables[0]["type"], "datasource");
    assert_eq!(variables[0]["name"], "datasource");
}

/// Words in a text that look like our metrics.
fn mentioned(text: &str) -> BTreeSet<String> {
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split(|letter| !is_of_a_name(letter))
        .filter(|word| {
            let ours = ["tracklight_", "process_"];
            ours.iter().any(|begin| word.starts_with(begin)) && !word.ends_with('_')
        })
        .map(str::to_owned)
        .collect()
}
