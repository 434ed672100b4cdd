//! Pages that somebody watches: each is computed once a second for all who watch the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use engine::live::PageRequest;
use engine::{Failure, Query};
use tokio::sync::watch;
use tokio::time::sleep;

use super::connections::sort_by;
use super::error::Fault;
use super::shape::Summary;
use super::shot::{Asked, Shot};
use super::sse::frame;
use crate::app::App;
use crate::asker::Asker;
use crate::shares::{Share, Shares};
use crate::who::{Role, Who};

/// Between two looks at the table.
const TICK: Duration = Duration::from_secs(1);
/// A look rests for so many times of what it took.
const REST: u32 = 4;
/// How many different pages are watched, and of them, how many that one began to watch.
const MOST_VIEWS: usize = 64;
const MOST_VIEWS_OF_ONE: usize = 16;

/// All pages that are watched, and the summary.
pub struct Views {
    watched: Mutex<Watched>,
    shares: Arc<Shares>,
}

impl Default for Views {
    fn default() -> Self {
        Self {
            watched: Mutex::default(),
            shares: Shares::new(MOST_VIEWS, MOST_VIEWS_OF_ONE),
        }
    }
}

/// A page as operators watch it, or as viewers do: each is computed on behalf of its own.
type Wanted = (Asked, Role);

struct Watch {
    sender: watch::Sender<Option<Arc<Shot>>>,
    _share: Share,
}

#[derive(Default)]
struct Watched {
    pages: HashMap<Wanted, Watch>,
    summary: Option<watch::Sender<Bytes>>,
    is_closed: bool,
}

/// The page of one who watches.
pub struct Subscription(watch::Receiver<Option<Arc<Shot>>>);

/// The summaries of one who watches.
pub struct Summaries(watch::Receiver<Bytes>);

impl Subscription {
    /// The newest page that was not given yet; `None` at the end.
    pub async fn next(&mut self) -> Option<Arc<Shot>> {
        loop {
            self.0.changed().await.ok()?;
            if let Some(shot) = self.0.borrow_and_update().clone() {
                return Some(shot);
            }
        }
    }
}

impl Summaries {
    /// The newest summary that was not given yet; `None` at the end.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.0.changed().await.ok()?;
            let summary = self.0.borrow_and_update().clone();
            if !summary.is_empty() {
                return Some(summary);
            }
        }
    }
}

impl Views {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it for all who watch, and for who comes.
    pub fn close(&self) {
        let mut watched = self.watched();
        watched.is_closed = true;
        watched.pages.clear();
        watched.summary = None;
    }

    /// Watches a page, with all others who watch the same.
    pub fn subscribe(
        &self,
        app: &Arc<App>,
        who: &Who,
        asked: Asked,
        query: Query,
    ) -> Result<Subscription, Fault> {
        let mut watched = self.watched();
        if watched.is_closed {
            return Err(Fault::too_busy());
        }
        let wanted = (asked, who.role);
        if let Some(page) = watched.pages.get(&wanted) {
            let mut receiver = page.sender.subscribe();
            // What is there already is new to this one.
            receiver.mark_changed();
            return Ok(Subscription(receiver));
        }
        let share = self.shares.take(&who.name, 1);
        let share = share.ok_or_else(Fault::too_busy)?;
        let (asked, _) = &wanted;
        let request = PageRequest {
            query,
            sort: asked.sort.as_deref().map(sort_by).transpose()?,
            reverse: asked.reverse,
            limit: asked.limit as usize,
            offset: asked.offset as usize,
            cursor: None,
            owner: who.name.clone(),
        };
        let (sender, receiver) = watch::channel(None);
        let page = Watch {
            sender,
            _share: share,
        };
        watched.pages.insert(wanted.clone(), page);
        drop(watched);
        // Whoever comes later may watch it when who began it has gone.
        let asker = Asker::without_end(who.clone());
        tokio::spawn(asker.ask(look(Arc::clone(app), wanted, request)));
        Ok(Subscription(receiver))
    }

    /// Watches the summary, with all others who do.
    pub fn summaries(&self, app: &Arc<App>) -> Summaries {
        let mut watched = self.watched();
        if let Some(summary) = &watched.summary {
            let mut receiver = summary.subscribe();
            receiver.mark_changed();
            return Summaries(receiver);
        }
        let (sender, receiver) = watch::channel(Bytes::new());
        if watched.is_closed {
            // Without its sender it has ended.
            return Summaries(receiver);
        }
        watched.summary = Some(sender);
        drop(watched);
        tokio::spawn(sum(Arc::clone(app)));
        Summaries(receiver)
    }

    /// Gives a page to all who watch it; `false` where nobody does any more.
    fn show(&self, wanted: &Wanted, shot: Arc<Shot>) -> bool {
        let mut watched = self.watched();
        let Some(page) = watched.pages.get(wanted) else {
            return false;
        };
        if page.sender.receiver_count() == 0 {
            watched.pages.remove(wanted);
            return false;
        }
        page.sender.send_replace(Some(shot));
        true
    }

    /// Whether somebody watches a page; else it is forgotten.
    fn is_watched(&self, wanted: &Wanted) -> bool {
        let mut watched = self.watched();
        let is_watched = watched
            .pages
            .get(wanted)
            .is_some_and(|page| page.sender.receiver_count() > 0);
        if !is_watched {
            watched.pages.remove(wanted);
        }
        is_watched
    }

    fn show_summary(&self, summary: Bytes) -> bool {
        let mut watched = self.watched();
        let Some(sender) = watched
            .summary
            .as_ref()
            .filter(|sender| sender.receiver_count() > 0)
        else {
            watched.summary = None;
            return false;
        };
        sender.send_replace(summary);
        true
    }
}

/// Computes a page again and again, as long as somebody watches it.
async fn look(app: Arc<App>, wanted: Wanted, request: PageRequest) {
    let request = Arc::new(request);
    let mut last: Option<Arc<Shot>> = None;
    loop {
        let (state, request, before) = (Arc::clone(&app), Arc::clone(&request), last.clone());
        let begun = Instant::now();
        let shot = app.api.work.run(move || {
            let page = state.live.page(&request)?;
            Ok::<_, Failure>(Shot::of(page, before.as_deref(), state.naming()))
        });
        // Where too much is under way, the next second will do.
        let goes_on = match shot.await {
            Ok(shot) => {
                let shot = Arc::new(shot);
                last = Some(Arc::clone(&shot));
                app.api.views.show(&wanted, shot)
            }
            Err(_) => app.api.views.is_watched(&wanted),
        };
        if !goes_on {
            return;
        }
        let took = begun.elapsed();
        sleep(TICK.saturating_sub(took).max(took * REST)).await;
    }
}

/// Sums the table up each second, as long as somebody watches.
async fn sum(app: Arc<App>) {
    // The counters are read more often meanwhile.
    let _looking = app.live.look();
    loop {
        let state = Arc::clone(&app);
        let summary = tokio::task::spawn_blocking(move || {
            serde_json::to_vec(&Summary::of(&state.live)).unwrap_or_default()
        });
        let Ok(summary) = summary.await else { return };
        if !app.api.views.show_summary(frame("summary", None, &summary)) {
            return;
        }
        sleep(TICK).await;
    }
}
