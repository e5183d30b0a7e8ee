//! A Kubernetes cluster for tests: recordings of a real one, and an API server in the test's own process that shows them.
//!
//! A [`Scenario`] is what a cluster held while one thing was done to it, stage after stage; `testdata/cluster/README.md`
//! says where the recordings are from. An [`ApiServer`] holds any objects, answers a client as the real API server does,
//! and fails on command.
//!
//! ```no_run
//! # async fn example() {
//! use rekopia_testkit::cluster::{ApiServer, Scenario};
//!
//! let scenario = Scenario::load("media");
//! let server = ApiServer::start().await;
//! server.show_stage(scenario.stage("02"));
//! // Here the client under test reads from `server.url()`; then the cluster changes.
//! server.show_stage(scenario.stage("03"));
//! assert!(server.requests().iter().all(|request| request.starts_with("GET ")));
//! # }
//! ```

mod answers;
mod contents;
mod kinds;
mod list;
mod log;
mod object;
mod packed;
mod recording;
mod request;
mod route;
mod selector;
mod server;
mod state;
#[cfg(test)]
mod tests;
mod watch;

pub use answers::{answers, discovery};
pub use recording::{Log, Logs, Scenario, Stage, WatchLine};
pub use server::ApiServer;
pub use state::Fault;
