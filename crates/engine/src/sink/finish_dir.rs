//! Finishes directories in which nothing changes any more.

use std::sync::Arc;

use super::attributes::FidelityIssue;
use super::error::SinkError;
use super::handles::put_mode_back;
use super::metadata;
use super::node::DirNode;
use super::state::Sink;

impl Sink {
    /// Sets the directory's attributes, once nothing in it changes any more.
    pub(crate) fn finish_dir(&self, node: &Arc<DirNode>) -> Result<Vec<FidelityIssue>, SinkError> {
        if self.options.looks_only {
            // Whether it can be there is all that there is to say.
            return match self.dir(node) {
                Err(e) if !e.is_absent() => Err(e),
                _ => Ok(Vec::new()),
            };
        }
        let handle = self.dir(node)?;
        if !self.settle_aside(node) {
            return Ok(Vec::new());
        }
        let issues = metadata::finish_dir(self, node, &handle)?;
        node.widened.store(false, std::sync::atomic::Ordering::Release);
        self.handles.finished(node);
        self.handles.climb(node, &handle);
        Ok(issues)
    }

    /// Ends the run: directories that were not finished get the modes that they had, and what was in the way of them
    /// comes back.
    pub(crate) fn close_up(&self) {
        for node in self.handles.take_unfinished() {
            if self.settle_aside(&node)
                && node.is_opened()
                && let Ok(handle) = self.dir(&node)
            {
                put_mode_back(&node, &handle);
            }
        }
    }
}
