//! Changes over HTTP: two steps, exact counts, undo, refusals.

mod support;

use std::net::SocketAddr;

use axum::http::Method;
use ctnetlink::{Key, NewEntry, Protocol, Tuple, Zone};
use serde_json::{Value, json};
use server::who::Who;
use support::{Daemon, daemon, operator};
use testkit::fill::{entry, fill, fill_with};

/// UDP from one host, from a port of its own each.
fn udp(ports: std::ops::Range<u16>) -> impl Iterator<Item = NewEntry> {
    ports.map(|port| {
        let (src, dst) = ([10, 9, 0, 1].into(), [192, 0, 2, 1].into());
        NewEntry::new(Tuple::ports(Protocol::UDP, src, port, dst, 53), 600)
    })
}

async fn preview(daemon: &Daemon, query: &str) -> Value {
    let answer = daemon
        .post("/api/v1/deletions", &json!({ "query": query }))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let deletion = answer.json();
    let place = format!("/api/v1/deletions/{}", deletion["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), place);
    deletion
}

async fn confirm(daemon: &Daemon, deletion: &Value, force: bool) -> (u16, Value) {
    let path = format!(
        "/api/v1/deletions/{}/confirm",
        deletion["id"].as_str().unwrap()
    );
    let answer = daemon.post(&path, &json!({ "force": force })).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_what_was_shown_is_deleted_and_what_was_born_since_stays() {
    let Some(daemon) = daemon() else { return };
    fill_with(&daemon.client, udp(1000..1100)).unwrap();
    fill(&daemon.client, 50).unwrap();
    daemon.known(150).await;
    let shown = preview(&daemon, "src == 10.9.0.1").await;
    assert_eq!(
        (&shown["matched"], &shown["state"]),
        (&json!(100), &json!("waiting"))
    );
    let owner = &shown["owners"][0];
    assert_eq!(
        (&owner["src"], &owner["connections"], &shown["owners_total"]),
        (&json!("10.9.0.1"), &json!(100), &json!(1))
    );
    assert_eq!(shown["sample"].as_array().unwrap().len(), 10);
    // One ends, one is reborn with the same tuple, and others are born.
    let key = |port| Key::original(udp(port..port + 1).next().unwrap().orig);
    daemon.client.delete(key(1000)).unwrap();
    daemon.client.delete(key(1001)).unwrap();
    fill_with(&daemon.client, udp(1001..1002).chain(udp(2000..2010))).unwrap();
    let (status, done) = confirm(&daemon, &shown, false).await;
    assert_eq!(status, 200, "{done}");
    let result = &done["result"];
    assert_eq!(
        (
            &result["matched"],
            &result["done"],
            &result["gone"],
            &result["refused"]
        ),
        (&json!(100), &json!(98), &json!(2), &json!(0)),
        "{done}"
    );
    assert_eq!(daemon.namespace.conntrack_count().unwrap(), 50 + 11);
    assert!(
        daemon.client.get(&key(1001)).is_ok(),
        "the reborn one stays"
    );
    let (status, again) = confirm(&daemon, &shown, false).await;
    assert_eq!((status, &again["code"]), (409, &json!("done-already")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_can_be_put_back_but_not_what_ended_by_itself() {
    let Some(daemon) = daemon() else { return };
    fill_with(&daemon.client, udp(1000..1050)).unwrap();
    daemon.known(50).await;
    let shown = preview(&daemon, "udp").await;
    assert_eq!(shown["undoable"], true);
    let undo = format!("/api/v1/deletions/{}/undo", shown["id"].as_str().unwrap());
    let early = daemon.ask(Method::POST, &undo, &json!({})).await;
    assert_eq!(
        (early.status.as_u16(), &early.json()["code"]),
        (409, &json!("not-undoable"))
    );
    daemon
        .client
        .delete(Key::original(udp(1000..1001).next().unwrap().orig))
        .unwrap();
    confirm(&daemon, &shown, false).await;
    assert_eq!(daemon.namespace.conntrack_count().unwrap(), 0);
    let undone = daemon.ask(Method::POST, &undo, &json!({})).await.json();
    assert_eq!(
        (&undone["state"], &undone["undone"]["created"]),
        (&json!("undone"), &json!(49)),
        "{undone}"
    );
    assert_eq!(daemon.namespace.conntrack_count().unwrap(), 49);
    let twice = daemon.ask(Method::POST, &undo, &json!({})).await;
    assert_eq!(twice.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_deleted_only_if_that_is_said() {
    let Some(daemon) = daemon() else { return };
    fill(&daemon.client, 20).unwrap();
    daemon.known(20).await;
    for query in ["", "nat or not nat"] {
        let refused = daemon
            .post("/api/v1/deletions", &json!({ "query": query }))
            .await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["code"]),
            (409, &json!("refused"))
        );
        let change = json!({"query": query, "change": {"timeout": 5}});
        let refused = daemon
            .ask(Method::PATCH, "/api/v1/connections", &change)
            .await;
        assert_eq!(refused.json()["code"], "refused");
    }
    let all = daemon
        .post("/api/v1/deletions", &json!({"query": "", "all": true}))
        .await
        .json();
    assert_eq!(all["matched"], 20);
    assert_eq!(confirm(&daemon, &all, false).await.0, 200);
    assert_eq!(daemon.namespace.conntrack_count().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_its_makers_and_no_more_wait_than_can_be_remembered() {
    let Some(mut daemon) = daemon() else { return };
    fill(&daemon.client, 20).unwrap();
    daemon.known(20).await;
    let shown = preview(&daemon, "tcp").await;
    let path = format!("/api/v1/deletions/{}", shown["id"].as_str().unwrap());
    daemon.who = Some(Who {
        name: "other".to_owned(),
        ..operator()
    });
    assert_eq!(daemon.get(&path).await.status, 404);
    assert_eq!(confirm(&daemon, &shown, false).await.0, 404);
    daemon.who = Some(operator());
    assert_eq!(daemon.get(&path).await.json()["matched"], shown["matched"]);
    for _ in 1..16 {
        preview(&daemon, "udp").await;
    }
    let answer = daemon
        .post("/api/v1/deletions", &json!({"query": "udp"}))
        .await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["code"]),
        (409, &json!("too-many"))
    );
    assert_eq!(
        daemon.ask(Method::DELETE, &path, &json!({})).await.status,
        204
    );
    preview(&daemon, "udp").await;
    assert_eq!(
        confirm(&daemon, &shown, false).await.0,
        404,
        "it is forgotten"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_of_who_asks_is_not_cut_unless_that_is_said() {
    let Some(mut daemon) = daemon() else { return };
    let client: SocketAddr = "10.9.0.7:50123".parse().unwrap();
    let orig = Tuple::ports(
        Protocol::TCP,
        client.ip(),
        client.port(),
        [10, 9, 0, 1].into(),
        8470,
    );
    fill_with(&daemon.client, [NewEntry::new(orig, 600)]).unwrap();
    fill_with(&daemon.client, udp(1..10)).unwrap();
    daemon.known(10).await;
    daemon.who = Some(Who {
        from: Some(client),
        ..operator()
    });
    let shown = preview(&daemon, "src in 10.9.0.0/16").await;
    assert_eq!(shown["own_session"], "HTTP from 10.9.0.7:50123");
    let (status, refused) = confirm(&daemon, &shown, false).await;
    assert_eq!((status, &refused["code"]), (409, &json!("own-session")));
    let flush = daemon
        .post("/api/v1/flush", &json!({"connections": 10}))
        .await;
    assert_eq!(
        (flush.status.as_u16(), &flush.json()["code"]),
        (409, &json!("own-session"))
    );
    let name = shown["sample"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["protocol"] == "tcp")
        .unwrap()["name"]
        .clone();
    let path = format!("/api/v1/connections/{}", name.as_str().unwrap());
    assert_eq!(
        daemon.ask(Method::DELETE, &path, &json!({})).await.json()["code"],
        "own-session"
    );
    assert!(daemon.get(&path).await.json()["own_session"].is_string());
    assert_eq!(daemon.namespace.conntrack_count().unwrap(), 10);
    let (status, done) = confirm(&daemon, &shown, true).await;
    assert_eq!((status, &done["result"]["done"]), (200, &json!(10)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_needs_the_number_of_connections() {
    let Some(daemon) = daemon() else { return };
    fill(&daemon.client, 200).unwrap();
    daemon.known(200).await;
    for wrong in [0, 150, 300] {
        let answer = daemon
            .post("/api/v1/flush", &json!({"connections": wrong}))
            .await;
        assert_eq!(answer.status, 409);
        let body = answer.json();
        assert_eq!(
            (&body["code"], &body["connections"]),
            (&json!("count-differs"), &json!(200))
        );
    }
    let done = daemon
        .post("/api/v1/flush", &json!({"connections": 201}))
        .await;
    assert_eq!(
        (done.status.as_u16(), done.json()),
        (200, json!({"before": 200, "left": 0}))
    );
    assert_eq!(daemon.namespace.conntrack_count().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_made_changed_and_deleted_by_its_name() {
    let Some(daemon) = daemon() else { return };
    let new = json!({"protocol": "tcp", "src": "10.9.0.1", "dst": "192.0.2.1", "sport": 40000, "dport": 443,
        "timeout": 600, "zone": 3, "mark": 0x5b03, "status": ["SEEN_REPLY", "ASSURED"], "reply_dst": "203.0.113.5"});
    let made = daemon.post("/api/v1/connections", &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = made.header("location").to_owned();
    let made = made.json();
    assert_eq!(
        (&made["connection"]["app"], &made["connection"]["prio"]),
        (&json!("SSL"), &json!("low"))
    );
    assert_eq!(made["path"]["seen_as"], "203.0.113.5:40000");
    assert_eq!(
        daemon.post("/api/v1/connections", &new).await.json()["code"],
        "exists"
    );
    daemon.known(1).await;
    let changed = daemon
        .ask(
            Method::PATCH,
            &path,
            &json!({"timeout": 77, "mark": 1, "mark_mask": 0xff}),
        )
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let changed = changed.json();
    assert_eq!(changed["connection"]["mark"], 0x5b01);
    assert!(changed["connection"]["timeout"].as_u64() <= Some(77));
    let nothing = daemon.ask(Method::PATCH, &path, &json!({})).await;
    assert_eq!(
        (nothing.status.as_u16(), &nothing.json()["code"]),
        (400, &json!("usage"))
    );
    let gone = daemon.ask(Method::DELETE, &path, &json!({})).await;
    assert_eq!(gone.json()["done"], 1);
    let key = Key::original(Tuple::ports(
        Protocol::TCP,
        [10, 9, 0, 1].into(),
        40000,
        [192, 0, 2, 1].into(),
        443,
    ));
    assert!(daemon.client.get(&key.in_zone(Zone::new(3))).is_err());
    daemon.known(0).await;
    assert_eq!(
        daemon.ask(Method::DELETE, &path, &json!({})).await.status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_connection_cannot_be_is_told_with_its_field() {
    let Some(daemon) = daemon() else { return };
    let base = json!({"protocol": "tcp", "src": "10.9.0.1", "dst": "192.0.2.1", "sport": 1, "dport": 2, "timeout": 60});
    for (change, field) in [
        (json!({"protocol": "nothing"}), "protocol"),
        (json!({"protocol": "icmp"}), "sport"),
        (json!({"src": "10.9.0.300"}), "src"),
        (json!({"dst": "2001:db8::1"}), "dst"),
        (json!({"sport": null}), "sport"),
        (json!({"sport": 70000}), "sport"),
        (json!({"type": 8}), "type"),
        (json!({"timeout": 0}), "timeout"),
        (json!({"state": "NOTHING"}), "state"),
        (json!({"status": ["CONFIRMED"]}), "status"),
        (json!({"labels": [128]}), "labels"),
        (json!({"helper": "a-name-that-is-too-long"}), "helper"),
        (json!({"nat_src": "2001:db8::1"}), "nat_src"),
        (json!({"more": 1}), "more"),
    ] {
        let mut new = base.clone();
        for (name, value) in change.as_object().unwrap() {
            new[name] = value.clone();
        }
        let answer = daemon.post("/api/v1/connections", &new).await;
        let body = answer.json();
        assert_eq!(
            (answer.status.as_u16(), &body["field"]),
            (400, &json!(field)),
            "{change}: {body}"
        );
    }
    assert_eq!(daemon.namespace.conntrack_count().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_changed_by_a_query_after_their_number_was_told() {
    let Some(daemon) = daemon() else { return };
    fill(&daemon.client, 200).unwrap();
    daemon.known(200).await;
    let mut change = json!({"query": "udp", "dry_run": true, "change": {"timeout": 9}});
    let told = daemon
        .ask(Method::PATCH, "/api/v1/connections", &change)
        .await
        .json();
    let udp = told["matched"].as_u64().unwrap();
    assert!(udp > 40 && told["done"] == 0, "{told}");
    change["dry_run"] = json!(false);
    let done = daemon
        .ask(Method::PATCH, "/api/v1/connections", &change)
        .await
        .json();
    assert_eq!(
        (&done["matched"], &done["done"]),
        (&json!(udp), &json!(udp)),
        "{done}"
    );
    let state = json!({"query": "udp", "change": {"state": "TIME_WAIT"}});
    let refused = daemon
        .ask(Method::PATCH, "/api/v1/connections", &state)
        .await
        .json();
    assert_eq!(
        (&refused["refused"], &refused["first"]["code"]),
        (&json!(udp), &json!("invalid"))
    );
    let wrong = json!({"query": "udp", "change": {"state": "NOTHING"}});
    let wrong = daemon
        .ask(Method::PATCH, "/api/v1/connections", &wrong)
        .await
        .json();
    assert_eq!(wrong["field"], "change.state");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_audit_log_with_who_made_it_and_how_many() {
    let Some(daemon) = daemon() else { return };
    let folder = tempfile::tempdir().unwrap();
    daemon
        .app
        .set_audit(server::audit::Audit::open(folder.path()).unwrap());
    fill(&daemon.client, 20).unwrap();
    daemon.known(20).await;
    let shown = preview(&daemon, "tcp").await;
    confirm(&daemon, &shown, false).await;
    daemon
        .post(
            "/api/connections/delete",
            &json!({"action": "flush", "note": "x".repeat(1000)}),
        )
        .await;
    let gone = json!({
        "action": "connection", "protocol": "udp", "src": "10.9.0.1", "sport": 1,
        "dst": "192.0.2.1", "dport": 53,
    });
    daemon.post("/api/connections/delete", &gone).await;
    let made = json!({
        "protocol": "udp", "src": "10.9.0.7", "sport": 7, "dst": "192.0.2.1", "dport": 53, "timeout": 60,
    });
    let made = daemon.post("/api/v1/connections", &made).await.json();
    let name = made["connection"]["name"].as_str().unwrap();
    let path = format!("/api/v1/connections/{name}");
    let deleted = daemon.ask(Method::DELETE, &path, &json!({})).await;
    assert_eq!(deleted.status, 200);
    let file = std::fs::read_dir(folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let text = std::fs::read_to_string(file.path()).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let actions: Vec<&str> = lines
        .iter()
        .map(|line| line["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            ["delete"; 2],
            ["contract-delete"; 2],
            ["contract-delete"; 2],
            ["create"; 2],
            ["delete"; 2]
        ]
        .concat(),
        "{text}"
    );
    assert_eq!(
        (&lines[0]["who"], &lines[0]["details"]["query"]),
        (&json!("admin"), &json!("tcp"))
    );
    assert_eq!(
        (&lines[1]["matched"], &lines[1]["changed"]),
        (&json!(10), &json!(10))
    );
    // What the contract does not know is not kept.
    assert_eq!(lines[2]["details"], json!({"action": "flush"}));
    assert_eq!(
        (&lines[3]["matched"], &lines[3]["changed"]),
        (&json!(10), &json!(10))
    );
    assert_eq!(
        (&lines[4]["details"], &lines[5]["result"]),
        (&gone, &json!("not-found"))
    );
    // It can be known which one it was, when it is gone.
    assert_eq!(lines[8]["details"]["connection"]["src"], "10.9.0.7");
    assert_eq!(lines[8]["details"]["force"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_panels_calls_have_the_contracts_bodies() {
    let Some(daemon) = daemon() else { return };
    fill_with(&daemon.client, [entry(0), entry(1)]).unwrap();
    let read = daemon
        .post(
            "/api/connections/read",
            &json!({"action": "conntrack", "limit": "1"}),
        )
        .await;
    assert_eq!(read.status, 200);
    assert_eq!(read.header("content-type"), "application/json");
    assert_eq!(
        read.json()["connections"].as_array().map(Vec::len),
        Some(1),
        "{}",
        read.text()
    );
    let wrong = daemon
        .post(
            "/api/connections/read",
            &json!({"action": "conntrack", "protocol": "x"}),
        )
        .await;
    assert_eq!(
        (wrong.status.as_u16(), &wrong.json()["type"]),
        (400, &json!("NotValid"))
    );
    let none = daemon.post("/api/connections/read", &json!("")).await;
    assert_eq!(
        (none.status.as_u16(), &none.json()["message"]),
        (400, &json!("no_json_data_available"))
    );
    let long = daemon
        .post("/api/connections/read", &json!({"x": "y".repeat(2 << 20)}))
        .await;
    assert_eq!(
        (long.status.as_u16(), &long.json()["type"]),
        (413, &json!("InvalidInput"))
    );
    let missing =
        json!({"action": "connection", "protocol": "icmp", "src": "10.0.0.212", "dst": "1.2.3.4"});
    let missing = daemon.post("/api/connections/delete", &missing).await;
    assert_eq!(
        (missing.status.as_u16(), &missing.json()["type"]),
        (404, &json!("NotFound"))
    );
    let flushed = daemon
        .post("/api/connections/delete", &json!({"action": "flush"}))
        .await;
    assert_eq!(
        (flushed.status.as_u16(), flushed.json()),
        (200, json!({"state": "success"}))
    );
    assert_eq!(daemon.namespace.conntrack_count().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_the_contract_that_nobody_reads_wait_in_memory_for_a_few_only() {
    let Some(daemon) = daemon() else { return };
    fill(&daemon.client, 10_500).unwrap();
    let ask = || async {
        let request = axum::http::Request::post("/api/connections/read")
            .body(axum::body::Body::from(r#"{"action":"conntrack"}"#));
        let router = daemon.router();
        tower::ServiceExt::oneshot(router, request.unwrap())
            .await
            .unwrap()
    };
    let mut unread = Vec::new();
    for _ in 0..4 {
        let answer = ask().await;
        assert_eq!(answer.status(), 200);
        unread.push(answer);
    }
    let refused = ask().await;
    assert_eq!(refused.status(), 503);
    let body = axum::body::to_bytes(refused.into_body(), usize::MAX).await;
    let body: Value = serde_json::from_slice(&body.unwrap()).unwrap();
    assert!(body.to_string().contains("Conflict"), "{body}");
    // One that is read to its end makes room.
    let whole = unread.pop().unwrap().into_body();
    axum::body::to_bytes(whole, usize::MAX).await.unwrap();
    let began = std::time::Instant::now();
    while ask().await.status() != 200 {
        assert!(began.elapsed() < support::PATIENCE, "it made no room");
    }
}
