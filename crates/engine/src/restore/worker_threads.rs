//! Starts the threads of a pass: as many as the system grants. Where it grants none their work is done between the
//! requests.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Receiver;
use tokio::sync::mpsc;

/// The work of the threads of a pass.
pub(crate) trait Work: Send + Sync + 'static {
    /// The type of the jobs that the threads are given.
    type Job: Send + 'static;

    /// Does what the queue gives, until it ends.
    fn work(&self, queue: impl IntoIterator<Item = Self::Job>);
}

/// Threads that work until their queue closes.
pub(crate) struct WorkerThreads<W: Work> {
    workers: Arc<W>,
    threads: Vec<JoinHandle<()>>,
    /// Closes when the last thread ends.
    ended: mpsc::Receiver<Infallible>,
    /// The queue, where there is no thread.
    queue: Option<Receiver<W::Job>>,
    panicked: AtomicBool,
}

/// How often the queue is looked at where there is no thread.
const LOOK_EVERY: Duration = Duration::from_millis(1);

impl<W: Work> WorkerThreads<W> {
    /// Starts as many threads as are wanted, or as can be had.
    pub(crate) fn start(wanted: usize, workers: &Arc<W>, queue: Receiver<W::Job>) -> Self {
        let (running, ended) = mpsc::channel(1);
        let mut threads = Vec::with_capacity(wanted);
        for i in 0..wanted {
            let (workers, queue, running) = (Arc::clone(workers), queue.clone(), running.clone());
            let work = move || {
                let _running = running;
                workers.work(&queue);
            };
            match std::thread::Builder::new().name(format!("rekopia-{i}")).spawn(work) {
                Ok(thread) => threads.push(thread),
                Err(e) => {
                    tracing::info!("{i} instead of {wanted} worker threads: {e}");
                    break;
                }
            }
        }
        let queue = threads.is_empty().then_some(queue);
        WorkerThreads {
            workers: Arc::clone(workers),
            threads,
            ended,
            queue,
            panicked: AtomicBool::new(false),
        }
    }

    /// Does the work of threads that could not be started; never ends.
    pub(crate) async fn help(&self) {
        let Some(queue) = &self.queue else { return std::future::pending().await };
        loop {
            self.work_off(queue);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until everything in the closed queue is done; returns whether nobody panicked.
    pub(crate) async fn finish(mut self) -> bool {
        if let Some(queue) = self.queue.take() {
            self.work_off(&queue);
        }
        // Nobody sends: this is the end of all threads, waited for without a thread.
        let _ = self.ended.recv().await;
        let joined = self.threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        joined == 0 && !self.panicked.load(Ordering::Relaxed)
    }

    fn work_off(&self, queue: &Receiver<W::Job>) {
        let work = AssertUnwindSafe(|| self.workers.work(queue.try_iter()));
        if std::panic::catch_unwind(work).is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
    }
}
