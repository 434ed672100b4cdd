//! Live streams over HTTP: births and deaths, pages that move.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use ctnetlink::{Client, Key, NewEntry, Protocol, Tuple};
use serde_json::{Value, json};
use support::{Heard, Listener, daemon};
use testkit::fill::fill_with;

fn udp(port: u16) -> NewEntry {
    let (src, dst) = ([10, 9, 0, 1].into(), [192, 0, 2, 1].into());
    NewEntry::new(Tuple::ports(Protocol::UDP, src, port, dst, 53), 600)
}

fn end(client: &Client, port: u16) {
    client.delete(Key::original(udp(port).orig)).unwrap();
}

fn port(heard: &Heard) -> u64 {
    heard.data["entry"]["orig"]["sport"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn births_and_deaths_that_are_selected_are_told_with_numbers_and_names() {
    let Some(daemon) = daemon() else { return };
    let mut heard = daemon
        .listen("/api/v1/events?query=sport%20%3E%201000", &[])
        .await;
    fill_with(&daemon.client, [udp(500), udp(2000)]).unwrap();
    let born = heard.next_of("new").await;
    assert_eq!((port(&born), &born.data["event"]), (2000, &json!("new")));
    assert!(born.data["time_ns"].as_u64() > Some(1_000_000_000));
    let name = born.data["entry"]["name"].as_str().unwrap().to_owned();
    end(&daemon.client, 500);
    end(&daemon.client, 2000);
    let died = heard.next_of("destroy").await;
    assert_eq!(died.data["entry"]["name"], name.as_str());
    assert!(died.id > born.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_is_told_what_happened_meanwhile() {
    let Some(daemon) = daemon() else { return };
    let mut first = daemon.listen("/api/v1/events", &[]).await;
    fill_with(&daemon.client, [udp(1)]).unwrap();
    let seen = first.next_of("new").await;
    drop(first);
    fill_with(&daemon.client, [udp(2), udp(3)]).unwrap();
    let last = seen.id.unwrap().to_string();
    let mut again = daemon
        .listen("/api/v1/events", &[("last-event-id", &last)])
        .await;
    assert_eq!(port(&again.next().await.unwrap()), 2);
    assert_eq!(port(&again.next().await.unwrap()), 3);
    let mut stranger = daemon.listen("/api/v1/events?last_event_id=5", &[]).await;
    let gap = stranger.next().await.unwrap();
    assert_eq!(
        (gap.event.as_str(), gap.data),
        ("gap", json!({"missed": null}))
    );
    assert_eq!(
        port(&stranger.next().await.unwrap()),
        1,
        "what is remembered is told"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_too_slowly_is_told_so_and_let_go() {
    let Some(daemon) = daemon() else { return };
    let mut slow = daemon.listen("/api/v1/events", &[]).await;
    let mut quick = daemon
        .listen("/api/v1/events?query=sport%20%3D%3D%2060000", &[])
        .await;
    // More than is remembered, while nobody reads: 16 pieces wait for the reader, then it stands still.
    let entries = (0..40_000_u32).map(testkit::fill::entry);
    fill_with(&daemon.client, entries).unwrap();
    fill_with(&daemon.client, [udp(60_000)]).unwrap();
    assert_eq!(port(&quick.next_of("new").await), 60_000);
    let mut last = None;
    while let Some(heard) = slow.next().await {
        last = Some(heard);
    }
    let last = last.unwrap();
    assert_eq!(
        (last.event.as_str(), &last.data["code"]),
        ("too-slow", &json!("too-slow"))
    );
}

/// A page that is kept by what is heard.
#[derive(Default)]
struct Kept {
    rows: BTreeMap<String, Value>,
    order: Vec<String>,
    total: u64,
}

impl Kept {
    fn name(row: &Value) -> String {
        row["name"].as_str().unwrap().to_owned()
    }

    fn hear(&mut self, heard: &Heard) {
        let list = |name: &str| heard.data[name].as_array().cloned().unwrap_or_default();
        match heard.event.as_str() {
            "page" => {
                *self = Self::default();
                for row in list("connections") {
                    self.order.push(Self::name(&row));
                    self.rows.insert(Self::name(&row), row);
                }
            }
            "difference" => {
                for row in list("added") {
                    assert!(
                        self.rows.insert(Self::name(&row), row).is_none(),
                        "added twice"
                    );
                }
                for row in list("changed") {
                    assert!(
                        self.rows.insert(Self::name(&row), row).is_some(),
                        "changed, but not there"
                    );
                }
                for name in list("removed") {
                    assert!(
                        self.rows.remove(name.as_str().unwrap()).is_some(),
                        "removed, but not there"
                    );
                }
                if let Some(order) = heard.data["order"].as_array() {
                    self.order = order
                        .iter()
                        .map(|name| name.as_str().unwrap().to_owned())
                        .collect();
                }
            }
            _ => return,
        }
        self.total = heard.data["totals"]["connections"].as_u64().unwrap();
        let named: BTreeSet<&String> = self.order.iter().collect();
        assert_eq!(named, self.rows.keys().collect());
    }

    async fn until_total(&mut self, listener: &mut Listener, total: u64) {
        while self.total != total {
            let heard = listener.next().await.expect("it goes on");
            self.hear(&heard);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_kept_by_its_differences_is_the_page() {
    let Some(daemon) = daemon() else { return };
    fill_with(&daemon.client, (1..=30).map(udp)).unwrap();
    daemon.known(30).await;
    let path = "/api/v1/live?query=udp&sort=sport&limit=20";
    let mut first = daemon.listen(path, &[]).await;
    let mut kept = Kept::default();
    kept.until_total(&mut first, 30).await;
    assert_eq!(kept.order.len(), 20);
    // Two die, one of them in sight; one is changed; one is born at the front.
    end(&daemon.client, 3);
    end(&daemon.client, 29);
    let key = Key::original(udp(5).orig);
    let change = ctnetlink::Update {
        mark: Some(ctnetlink::Masked {
            value: 7,
            mask: u32::MAX,
        }),
        ..Default::default()
    };
    daemon.client.update(key, change).unwrap();
    fill_with(&daemon.client, [udp(0)]).unwrap();
    kept.until_total(&mut first, 29).await;
    let ports: Vec<u64> = kept
        .order
        .iter()
        .map(|name| kept.rows[name]["orig"]["sport"].as_u64().unwrap())
        .collect();
    let expected: Vec<u64> = (0..=20).filter(|port| *port != 3).collect();
    assert_eq!(ports, expected);
    let marked = kept
        .rows
        .values()
        .find(|row| row["orig"]["sport"] == 5)
        .unwrap();
    assert_eq!(marked["mark"], 7);
    // Who comes later sees the same.
    let mut second = daemon.listen(path, &[]).await;
    let mut other = Kept::default();
    other.until_total(&mut second, 29).await;
    assert_eq!(other.order, kept.order);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_summary_comes_to_all_who_watch_and_alike() {
    let Some(daemon) = daemon() else { return };
    fill_with(&daemon.client, (1..=5).map(udp)).unwrap();
    daemon.known(5).await;
    let mut first = daemon.listen("/api/v1/live?limit=0", &[]).await;
    let mut second = daemon.listen("/api/v1/live?limit=0", &[]).await;
    let (one, two) = (
        first.next_of("summary").await,
        second.next_of("summary").await,
    );
    assert_eq!(one.data["connections"], 5);
    assert_eq!(two.data["truth"]["complete"], true);
    // Both come to the same second sooner or later.
    let (mut one, mut two) = (one, two);
    while one.data["time_ns"] != two.data["time_ns"] {
        if one.data["time_ns"].as_u64() < two.data["time_ns"].as_u64() {
            one = first.next_of("summary").await;
        } else {
            two = second.next_of("summary").await;
        }
    }
    assert_eq!(one.data, two.data);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_the_daemon() {
    let Some(daemon) = daemon() else { return };
    let mut page = daemon.listen("/api/v1/live", &[]).await;
    let mut events = daemon.listen("/api/v1/events", &[]).await;
    page.next_of("page").await;
    daemon.app.api.close();
    let live = std::sync::Arc::clone(&daemon.app.live);
    tokio::task::spawn_blocking(move || live.close())
        .await
        .unwrap();
    while page.next().await.is_some() {}
    assert!(events.next().await.is_none());
}
