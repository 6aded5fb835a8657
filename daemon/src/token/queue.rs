//! Who is next: users take turns, whatever number of requests each has waiting.

use std::collections::{HashMap, VecDeque};

use super::{Job, TokenError};

/// The jobs that wait for a worker.
pub struct Queue {
    /// Users with waiting jobs, the next one in front.
    turns: VecDeque<u32>,
    jobs: HashMap<u32, VecDeque<Job>>,
    len: usize,
    most_per_user: usize,
}

impl Queue {
    /// An empty queue that holds at most so many jobs of one user.
    pub fn new(most_per_user: usize) -> Self {
        Self { turns: VecDeque::new(), jobs: HashMap::new(), len: 0, most_per_user: most_per_user.max(1) }
    }

    /// Queues a job behind the others of its user, or refuses it if they are too many.
    pub fn push(&mut self, job: Job) {
        if self.jobs.get(&job.uid).is_some_and(|jobs| jobs.len() >= self.most_per_user) {
            let _ = job.reply.send(Err(TokenError::Busy));
            return;
        }
        self.user(job.uid).push_back(job);
    }

    /// Queues a job again that a lost worker did not finish: before the others of its user, over any limit.
    pub fn push_again(&mut self, job: Job) {
        self.user(job.uid).push_front(job);
    }

    fn user(&mut self, uid: u32) -> &mut VecDeque<Job> {
        self.len += 1;
        let jobs = self.jobs.entry(uid).or_default();
        if jobs.is_empty() {
            self.turns.push_back(uid);
        }
        jobs
    }

    /// The next job of the user whose turn it is. Jobs that nobody waits for any more are forgotten.
    pub fn pop(&mut self) -> Option<Job> {
        loop {
            let uid = self.turns.pop_front()?;
            let Some(job) = self.jobs.get_mut(&uid).and_then(VecDeque::pop_front) else { continue };
            self.len -= 1;
            match self.jobs.get(&uid) {
                Some(rest) if !rest.is_empty() => self.turns.push_back(uid),
                _ => drop(self.jobs.remove(&uid)),
            }
            if !job.reply.is_closed() {
                return Some(job);
            }
        }
    }

    /// Every job, in turn; the queue is empty afterwards.
    pub fn drain(&mut self) -> impl Iterator<Item = Job> + '_ {
        std::iter::from_fn(|| self.pop())
    }

    /// Takes out the jobs whose deadline has passed.
    pub fn expired(&mut self, now: tokio::time::Instant) -> Vec<Job> {
        let (late, timely): (Vec<_>, Vec<_>) = self.drain().partition(|job| job.deadline <= now);
        for job in timely {
            self.user(job.uid).push_back(job);
        }
        late
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<tokio::time::Instant> {
        // Deadlines of one user's jobs rise, but for those that came back; theirs are the earliest.
        self.jobs.values().filter_map(|jobs| jobs.front()).map(|job| job.deadline).min()
    }

    /// How many jobs wait.
    pub fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Work;
    use std::sync::Arc;
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    fn job(uid: u32) -> (Job, oneshot::Receiver<super::super::Answer>) {
        let (reply, answer) = oneshot::channel();
        let work = Work::Inspect { object: Arc::from("") };
        (Job { uid, work, deadline: Instant::now(), attempts: 0, reply }, answer)
    }

    #[test]
    fn users_take_turns_whatever_they_have_waiting() {
        let mut queue = Queue::new(100);
        let mut answers = Vec::new();
        for uid in [1, 1, 1, 1, 2, 3, 2] {
            let (job, answer) = job(uid);
            queue.push(job);
            answers.push(answer);
        }
        let order: Vec<u32> = queue.drain().map(|job| job.uid).collect();
        assert_eq!(order, [1, 2, 3, 1, 2, 1, 1]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_user_over_the_limit_is_refused_and_others_are_not() {
        let mut queue = Queue::new(1);
        let (first, _first) = job(1);
        let (second, mut refused) = job(1);
        let (other, _other) = job(2);
        queue.push(first);
        queue.push(second);
        queue.push(other);
        assert!(matches!(refused.try_recv(), Ok(Err(TokenError::Busy))));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn what_nobody_waits_for_is_forgotten() {
        let mut queue = Queue::new(9);
        let (gone, answer) = job(1);
        drop(answer);
        let (waiting, _answer) = job(1);
        queue.push(gone);
        queue.push(waiting);
        assert_eq!(queue.drain().count(), 1);
        assert_eq!(queue.len(), 0);
    }
}
