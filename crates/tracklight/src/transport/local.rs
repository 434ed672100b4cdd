//! The API in this process: no socket, and everything that a daemon can.

use std::sync::Arc;

use ctnetlink::Namespace;
use engine::live::Live;
use engine::{Config, Failure, vocabulary};
use http_body_util::Full;
use hyper::body::Bytes;
use server::app::{App, Settings};
use server::who::{Role, Who};
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tui::Transport;
use tui::transport::{Answer, Request};
use tui::wire::Fault;

use super::body::Reader;
use super::no_way;
use crate::cli::Global;

/// The API over the kernel's table.
pub(crate) struct Local {
    /// First, so that it ends before the table does.
    runtime: Runtime,
    router: axum::Router,
    live: Arc<Live>,
    who: Who,
    place: String,
}

impl Local {
    /// Opens the table that the global flags name.
    pub(crate) fn open(global: &Global) -> Result<Self, Failure> {
        let config = Config::load(global.config.as_deref())?;
        let namespace = global.netns.as_deref().map(Namespace::parse).transpose()?;
        let clone = || namespace.as_ref().map(Namespace::try_clone).transpose();
        let live = Live::open(clone()?, global.way(), &config.live)?;
        let words = vocabulary(&config, clone()?);
        let app = App::new(
            Arc::clone(&live),
            global.way(),
            global.netns.clone(),
            Settings::new(config, words)?,
        );
        if let Some(namespace) = clone()? {
            app.set_table_namespace(namespace);
        }
        let app = Arc::new(app);
        let runtime = super::runtime("api", 2)?;
        runtime.spawn(server::watch::watch(Arc::clone(&app)));
        Ok(Self {
            router: server::api::routes().with_state(app),
            runtime,
            live,
            // Whoever may open the table may change it.
            who: Who {
                name: "this session".to_owned(),
                role: Role::Operator,
                from: None,
            },
            place: global.netns.clone().unwrap_or_default(),
        })
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.live.close();
    }
}

impl Transport for Local {
    fn open(&self, request: &Request) -> Result<Answer, Fault> {
        let mut head = http::Request::builder()
            .method(request.method.name())
            .uri(&request.path)
            .extension(self.who.clone());
        if request.body.is_some() {
            head = head.header("content-type", "application/json");
        }
        let body = Bytes::from(request.body.clone().unwrap_or_default());
        let asked = head.body(Full::new(body));
        let asked = asked.map_err(|error| no_way(error.to_string(), ""))?;
        let answer = self.runtime.block_on(self.router.clone().oneshot(asked));
        let answer = match answer {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let status = answer.status().as_u16();
        let runtime = self.runtime.handle().clone();
        Ok(Answer {
            status,
            body: Box::new(Reader::new(answer.into_body(), runtime, ())),
        })
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}
