//! One thread on which large things are read one after the other.
//!
//! An allocator keeps what each thread has freed. With packages of 30,000 files, whose headers are 4 MB, four threads
//! kept 40 MB; one keeps 10, and reads thousands of headers a second.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

use crate::exit::Exit;
use crate::failure::{Failure, plain};
use crate::files::defect;

/// The thread; it ends when this is dropped.
pub(crate) struct Lane {
    jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
}

impl Lane {
    pub(crate) fn new() -> Result<Self, Failure> {
        let (jobs, inbox) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let cannot = |error: io::Error| {
            Failure::new(Exit::Failed, format!("a thread cannot be started: {}", plain(&error)))
        };
        // A defect that one file brings out does not stop the others.
        let work = || inbox.into_iter().for_each(|job| drop(catch_unwind(AssertUnwindSafe(job))));
        thread::Builder::new().spawn(work).map_err(cannot)?;
        Ok(Self { jobs })
    }

    /// Runs `work` behind what was given before.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        // Nobody waits for the answer of a run that was interrupted.
        let job = Box::new(move || drop(reply.send(work())));
        self.jobs.send(job).map_err(|_| defect())?;
        answer.await.unwrap_or_else(|_| Err(defect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_defect_in_one_job_does_not_stop_the_next() {
        let lane = Lane::new().unwrap();
        assert_eq!(lane.run::<()>(|| panic!("a defect")).await, Err(defect()));
        assert_eq!(lane.run(|| Ok(7)).await, Ok(7));
    }
}
