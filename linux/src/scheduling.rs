//! How the kernel schedules a thread (sched(7)).

use std::io;

/// Gives the calling thread, and those that it will start, the policy `SCHED_BATCH`: they get as much of the processors as
/// others, but their waking takes none from a thread that runs.
///
/// Fails with `EPERM` where a sandbox forbids the call.
#[allow(unsafe_code)]
pub fn schedule_as_batch() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` is initialised and lives across the call, which only reads it; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The policy of this thread as `/proc` tells it: field 41 of `stat`, see proc(5).
    fn current() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("/proc");
        let (_, behind_name) = stat.rsplit_once(')').expect("a name");
        behind_name.split_whitespace().nth(38).expect("field 41").parse().expect("a number")
    }

    #[test]
    fn threads_that_are_started_later_have_it_too() {
        let outer = std::thread::spawn(|| {
            schedule_as_batch().expect("batch scheduling");
            (current(), std::thread::spawn(current).join().expect("a thread"))
        });
        assert_eq!(outer.join().expect("a thread"), (libc::SCHED_BATCH, libc::SCHED_BATCH));
    }
}
