//! The adapters for tokio, against the real kernel.
#![cfg(feature = "tokio")]

#[macro_use]
mod own;

use std::sync::Arc;

use ctnetlink::tokio::{AsyncDump, AsyncEvents, call};
use ctnetlink::{DumpRequest, Event, EventOptions, Groups};
use own::Outcome;

#[tokio::test]
async fn verbs_dumps_and_events() -> Outcome {
    let own = own!();
    let client = Arc::new(own.client);
    let mut events = AsyncEvents::start(&client, Groups::NEW, EventOptions::default())?;
    assert!(events.receive_buffer() > 0);
    let filled = call(&client, |client| testkit::fill(client, 1000)).await?;
    assert_eq!(filled.created, 1000);

    let mut dump = AsyncDump::start(&client, DumpRequest::default());
    let mut read = 0;
    while let Some(entries) = dump.next_batch().await? {
        read += entries.len();
    }
    assert_eq!(read, 1000);
    assert!(dump.outcome().is_some_and(|outcome| outcome.complete));

    let mut born = 0;
    while born < 1000 {
        let batch = events.next_batch().await?.ok_or("it ended")?;
        for event in batch.iter() {
            assert!(matches!(event?, Event::New(_)));
            born += 1;
        }
    }
    // Neither hangs on what nobody reads any more.
    let mut half = AsyncDump::start(&client, DumpRequest::default());
    assert!(half.next_batch().await?.is_some());
    drop((half, events));
    Ok(())
}

#[tokio::test]
async fn an_error_of_a_dump_comes_through() -> Outcome {
    let kernel = testkit::FakeKernel::new(|r| testkit::Reply::to(r).ack(1));
    let client = Arc::new(kernel.client()?);
    let mut dump = AsyncDump::start(&client, DumpRequest::default());
    let error = dump.next_batch().await.expect_err("refused");
    assert_eq!(error.kind(), ctnetlink::ErrorKind::PermissionDenied);
    assert!(dump.next_batch().await?.is_none());
    Ok(())
}
