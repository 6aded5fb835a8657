//! While a single client is served, the daemon's threads keep to one processor.
//!
//! They hand each request on to one another, and one at a time has something to do. The scheduler would now and then put
//! one that wakes beside a signing worker, where it takes time from the signature or waits for its end, and a wake-up from
//! another processor costs a virtual machine tens of microseconds. With more clients they go where there is room.

use std::fs;
use std::io;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// So often the scheduler is asked anew where the best place is.
const ANEW: Duration = Duration::from_secs(1);

/// Where the daemon may run, as it was started; nothing if there is no choice.
static EVERYWHERE: LazyLock<Option<CpuSet>> = LazyLock::new(|| {
    let everywhere = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let choice = (0..CpuSet::count()).filter(|&cpu| everywhere.is_set(cpu).unwrap_or(false)).count();
    (choice > 1).then_some(everywhere)
});

/// Where the threads are.
#[derive(Default)]
pub struct Together {
    /// Since when they keep to one processor.
    since: Option<Instant>,
    impossible: bool,
}

impl Together {
    /// Calls all threads to the processor of this one.
    pub fn gather(&mut self) {
        let Some(everywhere) = *EVERYWHERE else { return };
        let placed = match self.since {
            _ if self.impossible => return,
            Some(since) if since.elapsed() < ANEW => return,
            // The scheduler moves this thread if it has a better place, and the next call finds it there.
            Some(_) => {
                self.since = None;
                place(&everywhere)
            }
            None => {
                self.since = Some(Instant::now());
                let mut here = CpuSet::new();
                let this = sched_getcpu().and_then(|cpu| here.set(cpu));
                this.map_err(io::Error::from).and_then(|()| place(&here))
            }
        };
        if let Err(error) = placed {
            tracing::debug!("the daemon's threads stay where they are: {error}");
            self.impossible = true;
        }
    }

    /// Lets them go.
    pub fn part(&mut self) {
        if let (Some(_), Some(everywhere)) = (self.since.take(), *EVERYWHERE) {
            let _ = place(&everywhere);
        }
    }
}

/// Lets this thread go, before it starts a process: that one would inherit its place.
pub fn leave() {
    if let Some(everywhere) = *EVERYWHERE {
        let _ = sched_setaffinity(Pid::from_raw(0), &everywhere);
    }
}

/// Puts every thread of this process on these processors.
fn place(on: &CpuSet) -> io::Result<()> {
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?.file_name().to_string_lossy().parse().map(Pid::from_raw);
        match sched_setaffinity(thread.map_err(io::Error::other)?, on) {
            // It has ended meanwhile.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::gettid;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn threads_keep_to_one_processor_until_they_part_and_processes_do_not() {
        let Some(everywhere) = *EVERYWHERE else {
            return; // There is one processor only.
        };
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            tell.send(gettid()).unwrap();
            let _ = ended.recv();
        });
        let places = [gettid(), told.recv().unwrap()];
        let places = || places.map(|thread| sched_getaffinity(thread).unwrap());
        let mut together = Together::default();
        together.gather();
        let [here, there] = places();
        assert!(here == there && here != everywhere);
        leave();
        assert_eq!(places(), [everywhere, here]);
        together.part();
        assert_eq!(places(), [everywhere; 2]);
        drop(end);
        other.join().unwrap();
    }
}
