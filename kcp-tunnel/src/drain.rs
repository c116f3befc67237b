//! The orderly end of a program: nothing new, what runs may finish, until a deadline.

use core::future::Future;
use core::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tells the connections of a program that it ends, and waits for them.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    stopping: CancellationToken,
    forced: CancellationToken,
    connections: TaskTracker,
}

impl Drain {
    /// Runs a connection.
    pub(crate) fn spawn<F>(&self, connection: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.connections.spawn(connection)
    }

    /// Waits until nothing new may begin.
    pub(crate) async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// Whether nothing new may begin.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Waits until connections must be broken off.
    pub(crate) async fn forced(&self) {
        self.forced.cancelled().await;
    }

    /// Nothing new may begin.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Waits until all connections have ended, at most for `deadline`, and has them broken off then.
    /// Returns whether all ended by themselves. To be called after `stop`.
    pub(crate) async fn wait(&self, deadline: Duration) -> bool {
        self.connections.close();
        let ended = tokio::time::timeout(deadline, self.connections.wait()).await;
        self.forced.cancel();
        self.connections.wait().await;
        ended.is_ok()
    }
}
