//! Connections over HTTP: pages, streams, one of them.

mod support;

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{Method, StatusCode};
use ctnetlink::{Change, Protocol};
use serde_json::{Value, json};
use server::api::connection::Connection;
use support::{daemon, operator};
use testkit::fill::{entry, fill, fill_with};

fn names(page: &Value) -> Vec<String> {
    let rows = page["connections"].as_array().unwrap();
    rows.iter()
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_its_rows_in_order_sums_of_all_and_how_far_it_can_be_believed() {
    let Some(daemon) = daemon() else { return };
    fill(&daemon.client, 300).unwrap();
    daemon.known(300).await;
    let page = daemon
        .get("/api/v1/connections?query=tcp&sort=timeout&limit=10")
        .await
        .json();
    assert_eq!(page["totals"]["connections"], 150);
    assert_eq!(page["truth"]["complete"], true);
    assert_eq!(page["next_offset"], 10);
    let rows = page["connections"].as_array().unwrap();
    let timeouts: Vec<u64> = rows
        .iter()
        .map(|row| row["timeout"].as_u64().unwrap())
        .collect();
    assert_eq!(timeouts.len(), 10);
    assert!(timeouts.is_sorted_by(|a, b| a >= b), "{timeouts:?}");
    let back = daemon
        .get("/api/v1/connections?query=tcp&sort=timeout&order=desc&limit=1")
        .await
        .json();
    assert!(back["connections"][0]["timeout"].as_u64() < Some(timeouts[9]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_of_a_connection_is_one_that_is_described() {
    let Some(daemon) = daemon() else { return };
    fill(&daemon.client, 400).unwrap();
    daemon.known(400).await;
    let page = daemon.get("/api/v1/connections?limit=1000").await.json();
    let rows = page["connections"].as_array().unwrap();
    assert_eq!(rows.len(), 400);
    for row in rows {
        let read: Connection = serde_json::from_value(row.clone()).unwrap();
        // Numbers of rates have another precision here.
        let mut again = serde_json::to_value(&read).unwrap();
        let mut row = row.clone();
        again.as_object_mut().unwrap().remove("rates");
        row.as_object_mut().unwrap().remove("rates");
        assert_eq!(again, row);
    }
    let groups = daemon.get("/api/v1/groups?by=proto,state&limit=3").await;
    let groups: server::api::groups::Groups = serde_json::from_slice(&groups.body).unwrap();
    assert_eq!(groups.total.connections, 400);
    assert!(groups.complete && groups.others.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_one_cursor_have_no_row_twice_and_miss_none_that_lives_while_the_table_moves() {
    let Some(daemon) = daemon() else { return };
    fill(&daemon.client, 2_000).unwrap();
    daemon.known(2_000).await;
    let before: BTreeSet<String> = all_names(&daemon).await;
    let over = AtomicBool::new(false);
    let gone: Vec<_> = (0..400).map(|index| entry(index * 5)).collect();
    let client = &daemon.client;
    let seen = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let churn = scope.spawn(|| {
                let deletes = gone.iter().map(|entry| {
                    Change::Delete(ctnetlink::Key::original(entry.orig).in_zone(entry.zone))
                });
                client.apply(deletes, |_, _| {}).unwrap();
                fill_with(client, (2_000..3_000).map(entry)).unwrap();
                over.store(true, Ordering::Relaxed);
            });
            let seen = tokio::runtime::Handle::current().block_on(async {
                let mut page = daemon
                    .get("/api/v1/connections?sort=timeout&limit=100")
                    .await
                    .json();
                let mut seen = names(&page);
                while let Some(cursor) = page["cursor"].as_str() {
                    let offset = page["next_offset"].as_u64().unwrap();
                    let path =
                        format!("/api/v1/connections?cursor={cursor}&offset={offset}&limit=100");
                    page = daemon.get(&path).await.json();
                    seen.extend(names(&page));
                }
                seen
            });
            churn.join().unwrap();
            seen
        })
    });
    assert!(over.load(Ordering::Relaxed));
    let once: HashSet<&String> = seen.iter().collect();
    assert_eq!(once.len(), seen.len(), "a row came twice");
    daemon.known(2_600).await;
    let after = all_names(&daemon).await;
    for name in before.intersection(&after) {
        assert!(
            once.contains(name),
            "{name} lived all the time and was missed"
        );
    }
}

async fn all_names(daemon: &support::Daemon) -> BTreeSet<String> {
    let text = daemon
        .get_as("/api/v1/connections?columns=name", "text/csv")
        .await
        .text();
    text.lines().skip(1).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_and_ndjson_have_all_that_is_selected_in_order_or_not() {
    let Some(daemon) = daemon() else { return };
    fill(&daemon.client, 3_000).unwrap();
    daemon.known(3_000).await;
    let udp = daemon
        .get("/api/v1/connections?query=udp&limit=1")
        .await
        .json();
    let udp = udp["totals"]["connections"].as_u64().unwrap() as usize;
    assert!(udp > 500);
    let csv = daemon
        .get_as("/api/v1/connections?query=udp", "text/csv")
        .await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    let truth: Value = serde_json::from_str(csv.header("tracklight-truth")).unwrap();
    assert_eq!(truth["complete"], true);
    assert_eq!(csv.text().lines().count(), udp + 1);

    for path in [
        "/api/v1/connections?query=udp",
        "/api/v1/connections?query=udp&sort=timeout",
    ] {
        let text = daemon.get_as(path, "application/x-ndjson").await.text();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let (last, rows) = lines.split_last().unwrap();
        assert_eq!((rows.len(), &last["written"]), (udp, &json!(udp)));
        assert!(last["truth"].is_object());
        if path.contains("sort") {
            let timeouts = rows.iter().map(|row| row["timeout"].as_u64());
            let timeouts: Vec<_> = timeouts.collect();
            // Within a page of a thousand rows the second may change.
            assert!(
                timeouts
                    .windows(2)
                    .all(|two| two[0].unwrap() + 2 >= two[1].unwrap())
            );
        }
    }
    let some = "/api/v1/connections?sort=dport&order=desc&limit=1500&columns=dport,proto,rate";
    let some = daemon.get_as(some, "text/csv").await.text();
    assert_eq!(some.lines().next(), Some("dport,proto,rate"));
    assert_eq!(some.lines().count(), 1501);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_comes_with_its_path_its_state_and_the_setting_behind_its_timeout() {
    let Some(daemon) = daemon() else { return };
    fill_with(&daemon.client, [entry(10)]).unwrap();
    daemon.known(1).await;
    let list = daemon.get("/api/v1/connections?query=tcp").await.json();
    let name = list["connections"][0]["name"].as_str().unwrap();
    let known = daemon.get(&format!("/api/v1/connections/{name}")).await;
    assert_eq!(known.status, 200, "{}", known.text());
    let known = known.json();
    assert_eq!(known["connection"]["name"], name);
    assert!(
        known["path"]["sentence"]
            .as_str()
            .unwrap()
            .contains("speaks with"),
        "{known}"
    );
    let setting = known["timeout_setting"]["name"]
        .as_str()
        .unwrap_or_default();
    assert!(
        setting.starts_with("net.netfilter.nf_conntrack_tcp_timeout_"),
        "{known}"
    );
    assert!(
        known["timeout_setting"]["seconds"].as_u64() > Some(0),
        "{known}"
    );
    for name in ["00000000-00000000", "nonsense", "%ff"] {
        let answer = daemon.get(&format!("/api/v1/connections/{name}")).await;
        assert!([StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST].contains(&answer.status));
        assert!(answer.json()["hint"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_with_its_field_and_a_querys_mistake_with_its_place() {
    let Some(daemon) = daemon() else { return };
    for (path, code, field) in [
        ("/api/v1/connections?limt=5", "usage", "limt"),
        ("/api/v1/connections?limit=0", "usage", "limit"),
        ("/api/v1/connections?limit=1001", "usage", "limit"),
        ("/api/v1/connections?limit=-1", "usage", "limit"),
        ("/api/v1/connections?offset=10001", "usage", "offset"),
        ("/api/v1/connections?limit=1&limit=2", "usage", "limit"),
        ("/api/v1/connections?sort=nothing", "usage", "sort"),
        ("/api/v1/connections?order=up", "usage", "order"),
        ("/api/v1/connections?columns=scr", "usage", "columns"),
        ("/api/v1/connections?columns=src,src", "usage", "columns"),
        ("/api/v1/connections?cursor=x&query=tcp", "usage", "cursor"),
        (
            "/api/v1/connections?query=tcp%20and",
            "query-syntax",
            "query",
        ),
        ("/api/v1/groups", "usage", "by"),
        ("/api/v1/groups?by=nothing", "usage", "by"),
        ("/api/v1/groups?by=src,src", "usage", "by"),
        ("/api/v1/live?sort=nothing", "usage", "sort"),
        ("/api/v1/events?query=%28", "query-syntax", "query"),
        ("/api/v1/summary?x=1", "usage", "x"),
    ] {
        let answer = daemon.get(path).await;
        let body = answer.json();
        assert_eq!(answer.status, 400, "{path}: {body}");
        assert_eq!(
            (&body["code"], &body["field"]),
            (&json!(code), &json!(field)),
            "{path}: {body}"
        );
    }
    let place = daemon
        .get("/api/v1/connections?query=udp%20and%20dprt%20%3D%3D%2053")
        .await
        .json();
    assert_eq!(
        (&place["offset"], &place["length"]),
        (&json!(8), &json!(4)),
        "{place}"
    );
    assert_eq!(place["hint"], "did you mean dport?");
    let cursor = daemon.get("/api/v1/connections?cursor=0123").await;
    assert_eq!(
        (cursor.status, &cursor.json()["code"]),
        (StatusCode::GONE, &json!("cursor-expired"))
    );
    for (accept, status) in [("image/png", 406), ("text/csv", 400)] {
        let answer = daemon.get_as("/api/v1/connections?query=%28", accept).await;
        assert_eq!(answer.status, status);
        assert!(answer.json()["code"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_compares_too_much_is_refused_and_a_long_set_is_not() {
    let Some(daemon) = daemon() else { return };
    let pairs = (1..300).map(|n| format!("bytes>{n} and packets<{n}0"));
    let long = pairs.collect::<Vec<_>>().join(" or ");
    let ports = (1..2_000).map(|port| port.to_string());
    let set = format!("dport in {{{}}}", ports.collect::<Vec<_>>().join(", "));
    let refused = |answer: &serde_json::Value| (answer["code"].clone(), answer["field"].clone());
    let wrong = daemon
        .post("/api/v1/deletions", &serde_json::json!({ "query": long }))
        .await;
    assert_eq!(wrong.status, 400);
    assert_eq!(
        refused(&wrong.json()),
        ("query-too-large".into(), "query".into())
    );
    let right = daemon
        .post("/api/v1/deletions", &serde_json::json!({ "query": set }))
        .await;
    assert!(right.status.is_success(), "{}", right.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_methods_types_and_sizes_that_are_wrong_have_the_one_shape_too() {
    let Some(daemon) = daemon() else { return };
    let code = |answer: support::Answer| {
        (
            answer.status.as_u16(),
            answer.json()["code"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(
        code(daemon.get("/api/v1/nothing").await),
        (404, "no-such-path".to_owned())
    );
    assert_eq!(
        code(daemon.get("/api").await),
        (404, "no-such-path".to_owned())
    );
    let wrong = daemon
        .ask(Method::PUT, "/api/v1/connections", &json!({}))
        .await;
    assert!(wrong.header("allow").contains("GET"), "{:?}", wrong.headers);
    assert_eq!(code(wrong), (405, "method-not-allowed".to_owned()));
    let request = axum::http::Request::post("/api/v1/query/check")
        .body("query=x".into())
        .unwrap();
    assert_eq!(
        code(daemon.send(request).await),
        (415, "media-type".to_owned())
    );
    let large = json!({"query": "x".repeat(2 << 20)});
    assert_eq!(
        code(daemon.post("/api/v1/query/check", &large).await),
        (413, "too-large".to_owned())
    );
    let unknown = daemon
        .post("/api/v1/query/check", &json!({"query": "tcp", "more": 1}))
        .await;
    assert_eq!(unknown.json()["field"], "more");
    assert_eq!(code(unknown), (400, "usage".to_owned()));
    let request =
        axum::http::Request::post("/api/v1/query/check").header("content-type", "application/json");
    assert_eq!(
        code(daemon.send(request.body("{".into()).unwrap()).await),
        (400, "not-json".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_see_and_do_not_change_and_nobody_sees_without_a_name() {
    let Some(mut daemon) = daemon() else { return };
    fill(&daemon.client, 10).unwrap();
    daemon.known(10).await;
    let changes = [
        (Method::POST, "/api/v1/deletions", json!({"query": "tcp"})),
        (Method::POST, "/api/v1/flush", json!({"connections": 10})),
        (
            Method::POST,
            "/api/v1/connections",
            json!({"protocol": "udp", "src": "10.0.0.1", "dst": "10.0.0.2", "sport": 1, "dport": 2, "timeout": 60}),
        ),
        (
            Method::PATCH,
            "/api/v1/connections",
            json!({"query": "tcp", "change": {"timeout": 5}}),
        ),
        (
            Method::DELETE,
            "/api/v1/connections/00000000-00000000",
            json!({}),
        ),
        (Method::DELETE, "/api/v1/expectations/1", json!({})),
    ];
    for (role, status, code) in [
        (Some(server::who::Role::Viewer), 403, "forbidden"),
        (None, 401, "not-signed-in"),
    ] {
        daemon.who = role.map(|role| server::who::Who { role, ..operator() });
        for (method, path, body) in &changes {
            let answer = daemon.ask(method.clone(), path, body).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.json()["code"]),
                (status, &json!(code)),
                "{path}"
            );
        }
        let panel = daemon
            .post("/api/connections/delete", &json!({"action": "flush"}))
            .await;
        assert_eq!(panel.status, status);
        let seen = daemon.get("/api/v1/summary").await;
        assert_eq!(seen.status == 200, role.is_some());
    }
    assert_eq!(daemon.namespace.conntrack_count().unwrap(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_seldom_changes_is_not_sent_twice() {
    let Some(daemon) = daemon() else { return };
    for path in [
        "/api/v1/query/fields",
        "/api/openapi.json",
        "/api/docs/swagger-ui-bundle.js",
    ] {
        let first = daemon.get_as(path, "*/*").await;
        assert_eq!(first.status, 200, "{path}");
        let tag = first.header("etag").to_owned();
        assert!(!tag.is_empty() && !first.body.is_empty(), "{path}");
        let request = axum::http::Request::get(path).header("if-none-match", &tag);
        let second = daemon
            .send(request.body(axum::body::Body::empty()).unwrap())
            .await;
        assert_eq!(second.status, 304, "{path}");
        assert!(second.body.is_empty());
    }
    let page = daemon.get_as("/api/docs/", "*/*").await.text();
    assert!(
        page.contains("swagger-ui-bundle.js")
            && !page.contains("http://")
            && !page.contains("https://")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_packed_for_who_can_unpack_them() {
    let Some(daemon) = daemon() else { return };
    fill(&daemon.client, 500).unwrap();
    daemon.known(500).await;
    let plain = daemon.get("/api/v1/connections?limit=500").await;
    for (encoding, packed) in [("gzip", "gzip"), ("zstd, gzip;q=0.5", "zstd")] {
        let request = axum::http::Request::get("/api/v1/connections?limit=500")
            .header("accept-encoding", encoding);
        let answer = daemon
            .send(request.body(axum::body::Body::empty()).unwrap())
            .await;
        assert_eq!(answer.header("content-encoding"), packed);
        assert!(answer.body.len() < plain.body.len() / 4);
    }
    // A body that is written while it is sent, too.
    let request = axum::http::Request::get("/api/v1/connections");
    let request = request
        .header("accept", "text/csv")
        .header("accept-encoding", "zstd");
    let answer = daemon
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await;
    assert_eq!(answer.header("content-encoding"), "zstd");
    assert!(answer.body.len() > 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_checked_explained_and_completed() {
    let Some(daemon) = daemon() else { return };
    let good = daemon
        .post("/api/v1/query/check", &json!({"query": "tcp&&dport==443"}))
        .await
        .json();
    assert_eq!(good["ok"], true);
    assert_eq!(good["explanation"]["parsed"], "tcp and dport == 443");
    let bad = daemon
        .post(
            "/api/v1/query/check",
            &json!({"query": "tcp and dprt == 1"}),
        )
        .await;
    assert_eq!(bad.status, 200);
    assert_eq!(
        (&bad.json()["ok"], &bad.json()["error"]["offset"]),
        (&json!(false), &json!(8))
    );
    let next = daemon
        .get("/api/v1/query/complete?query=tcp%20and%20dpo")
        .await
        .json();
    assert_eq!(next["candidates"][0]["text"], "dport");
    let fields = daemon.get("/api/v1/query/fields").await.json();
    assert!(fields["fields"].as_array().unwrap().len() > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_the_daemon_and_the_kernel_tell_their_numbers() {
    let Some(daemon) = daemon() else { return };
    fill(&daemon.client, 50).unwrap();
    daemon.known(50).await;
    let summary = daemon.get("/api/v1/summary").await.json();
    assert_eq!(summary["connections"], 50);
    let tcp = summary["protocols"].as_array().unwrap().iter();
    let tcp: Vec<_> = tcp
        .filter(|of| of["protocol_number"] == Protocol::TCP.0)
        .collect();
    assert_eq!(
        (&tcp[0]["protocol"], &tcp[0]["connections"]),
        (&json!("tcp"), &json!(25))
    );
    let statistics = daemon.get("/api/v1/statistics").await.json();
    assert_eq!(statistics["connections"], 50);
    assert_eq!(statistics["settings"]["nf_conntrack_acct"], 1);
    assert!(statistics["total"]["insert_failed"].is_u64());
    let status = daemon.get("/api/v1/status").await.json();
    assert_eq!(
        (&status["you"]["name"], &status["you"]["role"]),
        (&json!("admin"), &json!("operator"))
    );
    let configuration = daemon.get("/api/v1/configuration").await.json();
    assert_eq!(configuration["marks"]["application"]["names"]["91"], "SSL");
    assert_eq!(configuration["server"]["listen"][0], "127.0.0.1:8470");
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_columns_are_the_members_of_a_row_and_names_are_beside_numbers() {
    let Some(daemon) = daemon() else { return };
    let mut new = entry(0);
    new.orig.src = "10.0.0.7".parse().unwrap();
    new.orig.l4 = ctnetlink::L4::Ports {
        src: 50_000,
        dst: 443,
    };
    new.reply = new.orig.mirror();
    new.helper = None;
    fill_with(&daemon.client, [new]).unwrap();
    daemon.known(1).await;
    let mut config = engine::Config::default();
    let names = &mut config.names;
    names
        .hosts
        .insert("10.0.0.7".parse().unwrap(), "nas".to_owned());
    let vocabulary = query::Vocabulary::default();
    let settings = server::app::Settings::new(config, vocabulary).unwrap();
    daemon.app.set_settings(settings);

    let whole = daemon.get("/api/v1/connections").await.json();
    let row = &whole["connections"][0];
    assert_eq!(row["service"], "https");
    assert_eq!(row["names"]["10.0.0.7"]["name"], "nas");
    assert_eq!(row["names"]["10.0.0.7"]["from"], "configuration");
    let chosen = "src,src_name,dst_name,dport,service,helper";
    let page = daemon
        .get(&format!("/api/v1/connections?columns={chosen}"))
        .await
        .json();
    // What it lacks, a name and a helper, is left out.
    let expected = json!({"src": "10.0.0.7", "src_name": "nas", "dport": 443, "service": "https"});
    assert_eq!(page["connections"], json!([expected]));
    let path = format!("/api/v1/connections?columns={chosen}");
    let lines = daemon.get_as(&path, "application/x-ndjson").await.text();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first, expected);
    let csv = daemon.get_as(&path, "text/csv").await.text();
    assert_eq!(
        csv,
        format!("{chosen}\r\n10.0.0.7,nas,,443,https,\r\n"),
        "{csv}"
    );
    let groups = daemon.get("/api/v1/groups?by=src").await.json();
    assert_eq!(groups["names"]["10.0.0.7"]["name"], "nas");
    let name = row["name"].as_str().unwrap();
    let one = daemon.get(&format!("/api/v1/connections/{name}")).await;
    let one = one.json();
    // The namespace has no way there, which is no failure.
    assert_eq!(one["routes"]["reply"], json!({"to": "10.0.0.7"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_can_be_expected_by_one_that_has_a_helper() {
    let Some(daemon) = daemon() else { return };
    let master = json!({
        "protocol": "tcp", "src": "10.0.0.7", "sport": 50_000, "dst": "192.0.2.1", "dport": 21,
        "timeout": 600, "helper": "ftp",
    });
    let made = daemon.post("/api/v1/connections", &master).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let expected = |dst: &str| {
        json!({
            "protocol": "tcp", "src": "192.0.2.1", "dst": dst, "dport": 40_000, "timeout": 60,
            "master": {"protocol": "tcp", "src": "10.0.0.7", "sport": 50_000, "dst": "192.0.2.1", "dport": 21},
        })
    };
    let wrong = daemon
        .post("/api/v1/expectations", &expected("2001:db8::1"))
        .await;
    assert_eq!(
        (wrong.status, &wrong.json()["field"]),
        (StatusCode::BAD_REQUEST, &json!("src"))
    );
    let mut without = expected("10.0.0.7");
    without["master"]["sport"] = json!(50_001);
    let none = daemon.post("/api/v1/expectations", &without).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND, "{}", none.text());

    let done = daemon
        .post("/api/v1/expectations", &expected("10.0.0.7"))
        .await;
    assert_eq!(done.status, StatusCode::NO_CONTENT, "{}", done.text());
    let list = daemon.get("/api/v1/expectations").await.json();
    let one = &list["expectations"][0];
    assert_eq!(one["tuple"]["dport"], 40_000, "{list}");
    assert_eq!(
        (&one["mask"]["sport"], &one["mask"]["dport"]),
        (&json!(0), &json!(65_535))
    );
    let path = format!("/api/v1/expectations/{}", one["id"]);
    let gone = daemon.ask(Method::DELETE, &path, &json!({})).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text());
    let list = daemon.get("/api/v1/expectations").await.json();
    assert_eq!(list["expectations"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_history_have_the_shapes_that_are_described() {
    use server::api::described::{HealthReport, Series};
    let Some(daemon) = daemon() else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = engine::history::Settings::default();
    let origin = engine::history::Origin::here();
    let history = engine::history::History::open(folder.path(), &settings, origin).unwrap();
    let live = std::sync::Arc::clone(&daemon.app.live);
    let _follower = engine::history::Follower::of_live(&history, live).unwrap();
    daemon.app.set_history(history);
    fill(&daemon.client, 50).unwrap();
    daemon.known(50).await;
    let report = daemon.get("/api/v1/health").await;
    serde_json::from_slice::<HealthReport>(&report.body).unwrap();
    let began = std::time::Instant::now();
    loop {
        let series = daemon.get("/api/v1/history").await;
        serde_json::from_slice::<Series>(&series.body).unwrap();
        let points = series.json()["points"].as_array().unwrap().len();
        if points > 2 {
            return;
        }
        assert!(began.elapsed() < support::PATIENCE, "{}", series.text());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
