//! A simulated machine: tasks, time and chance of one run on one thread, all from one seed.
//!
//! [`Machine::run`] polls tasks in an order that the seed picks, moves the clock when nobody can go on, and
//! lets a [`Director`] end processes at named gates. Nothing outside tests starts one, and without one
//! every function of [`super`] is the real thing: no setting, no variable and no request leads here.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Clock;

/// A process: tasks that end together.
pub type Process = u64;

/// The process of the run's main task, which is never ended.
pub const MAIN: Process = 0;

/// Decides what goes wrong, and sees what happens.
pub trait Director {
    /// A process is at a named gate. `true`: it ends here.
    fn at_gate(&self, process: Process, gate: &'static str) -> bool;
    /// A task was polled. `true`: its process ends here.
    fn polled(&self, process: Process) -> bool;
    /// Whether a named mistake is made on purpose.
    fn planted(&self, mistake: &'static str) -> bool;
    /// A task tells a number of its own.
    fn noted(&self, task: u64, what: &'static str, value: u64);
}

type Work = Pin<Box<dyn Future<Output = ()>>>;

struct Task {
    process: Process,
    work: Option<Work>,
    waker: Waker,
}

struct Wakeup {
    id: u64,
    queue: Arc<Mutex<Vec<u64>>>,
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.queue.lock().push(self.id);
    }
}

/// A run.
pub struct Machine {
    director: Rc<dyn Director>,
    random: Cell<u64>,
    now_us: Arc<AtomicU64>,
    steps: Arc<AtomicU64>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    next_task: Cell<u64>,
    current: Cell<(u64, Process)>,
    woken: Arc<Mutex<Vec<u64>>>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    paused: RefCell<BTreeMap<Process, u64>>,
    ended: RefCell<BTreeSet<Process>>,
    going: Cell<u64>,
    trace: Cell<u64>,
    told: RefCell<Option<Vec<String>>>,
    polls: Cell<u64>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Machine>>> = const { RefCell::new(None) };
}

/// The machine that this thread simulates, if it does.
pub fn machine() -> Option<Rc<Machine>> {
    CURRENT.with_borrow(Clone::clone)
}

/// One step of splitmix64.
fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Machine {
    /// A machine whose clock begins at so many milliseconds.
    pub fn new(seed: u64, start_ms: u64, director: Rc<dyn Director>) -> Rc<Self> {
        Rc::new(Self {
            director,
            random: Cell::new(mix(seed)),
            now_us: Arc::new(AtomicU64::new(start_ms * 1_000)),
            steps: Arc::default(),
            tasks: RefCell::default(),
            next_task: Cell::new(1),
            current: Cell::new((0, MAIN)),
            woken: Arc::default(),
            timers: RefCell::default(),
            paused: RefCell::default(),
            ended: RefCell::default(),
            going: Cell::new(0),
            trace: Cell::new(0),
            told: RefCell::new(None),
            polls: Cell::new(0),
        })
    }

    /// Runs a main task to its end; tasks that are left are dropped.
    ///
    /// # Errors
    /// What every task waits for when none can ever go on.
    pub fn run<T: 'static>(
        self: &Rc<Self>,
        main: impl Future<Output = T> + 'static,
    ) -> Result<T, String> {
        let _here = Here::enter(self.clone());
        let answer = Rc::new(RefCell::new(None));
        let place = answer.clone();
        let work = async move {
            let value = main.await;
            *place.borrow_mut() = Some(value);
        };
        self.start(MAIN, Box::pin(work));
        loop {
            self.bury();
            if let Some(value) = answer.borrow_mut().take() {
                return Ok(value);
            }
            let Some(id) = self.pick() else {
                if self.skip_time() {
                    continue;
                }
                return Err("every task waits, and no timer is set".into());
            };
            self.poll(id);
        }
    }

    /// Starts a task in a process.
    pub fn start(&self, process: Process, work: Work) -> u64 {
        let id = self.next_task.get();
        self.next_task.set(id + 1);
        let waker = Waker::from(Arc::new(Wakeup { id, queue: self.woken.clone() }));
        self.tasks.borrow_mut().insert(id, Task { process, work: Some(work), waker });
        self.woken.lock().push(id);
        id
    }

    fn poll(&self, id: u64) {
        let taken = self
            .tasks
            .borrow_mut()
            .get_mut(&id)
            .map(|task| (task.process, task.work.take(), task.waker.clone()));
        let Some((process, Some(mut work), waker)) = taken else { return };
        self.tell("poll", id);
        self.polls.set(self.polls.get() + 1);
        self.now_us.fetch_add(self.chance(40), Ordering::SeqCst);
        self.current.set((id, process));
        let done = work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let kept = match self.tasks.borrow_mut().get_mut(&id) {
            Some(task) if !done => {
                task.work = Some(work);
                None
            }
            _ => Some(work),
        };
        if done {
            self.tasks.borrow_mut().remove(&id);
        }
        drop(kept);
        self.current.set((0, MAIN));
        if process != MAIN && self.director.polled(process) {
            self.end(process);
        }
    }

    /// A task that can go on: often the one before, so that some run far ahead of others.
    fn pick(&self) -> Option<u64> {
        let now = self.now_us.load(Ordering::SeqCst);
        let due: Vec<_> = {
            let mut timers = self.timers.borrow_mut();
            let later = timers.split_off(&(now + 1, 0));
            std::mem::replace(&mut *timers, later).into_values().collect()
        };
        due.into_iter().for_each(Waker::wake);
        let mut paused = self.paused.borrow_mut();
        paused.retain(|_, until| *until > now);
        let mut woken = self.woken.lock();
        woken.sort_unstable();
        woken.dedup();
        let tasks = self.tasks.borrow();
        woken.retain(|id| tasks.contains_key(id));
        let free: Vec<u64> =
            woken.iter().copied().filter(|id| !paused.contains_key(&tasks[id].process)).collect();
        if free.is_empty() {
            return None;
        }
        let again = free.contains(&self.going.get()) && self.chance(100) < 30;
        let id =
            if again { self.going.get() } else { free[self.chance(free.len() as u64) as usize] };
        self.going.set(id);
        woken.retain(|other| *other != id);
        Some(id)
    }

    /// Moves the clock to the next timer or the end of a pause; `false` if there is none.
    fn skip_time(&self) -> bool {
        let timer = self.timers.borrow().keys().next().map(|(at, _)| *at);
        let pause = self.paused.borrow().values().min().copied();
        let Some(next) = timer.into_iter().chain(pause).min() else { return false };
        self.now_us.fetch_max(next, Ordering::SeqCst);
        true
    }

    /// Drops the tasks of processes that have ended.
    fn bury(&self) {
        loop {
            let dead: Vec<Task> = {
                let ended = self.ended.borrow();
                let mut tasks = self.tasks.borrow_mut();
                let ids: Vec<u64> = tasks
                    .iter()
                    .filter(|(_, task)| ended.contains(&task.process))
                    .map(|(id, _)| *id)
                    .collect();
                ids.iter().filter_map(|id| tasks.remove(id)).collect()
            };
            if dead.is_empty() {
                return;
            }
            // Their destructors may wake or even start others.
            drop(dead);
        }
    }

    /// Ends a process: none of its tasks goes on.
    pub fn end(&self, process: Process) {
        self.tell("end", process);
        self.ended.borrow_mut().insert(process);
    }

    /// Whether a process has ended.
    pub fn has_ended(&self, process: Process) -> bool {
        self.ended.borrow().contains(&process)
    }

    /// Keeps a process from running for some time, while its timers go on.
    pub fn pause(&self, process: Process, time: Duration) {
        let until = self.now_us.load(Ordering::SeqCst) + micros(time);
        self.paused.borrow_mut().insert(process, until);
    }

    /// The running task and its process.
    pub fn current(&self) -> (u64, Process) {
        self.current.get()
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        self.random.set(self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        mix(self.random.get())
    }

    /// A random number below `n`, or 0.
    pub fn chance(&self, n: u64) -> u64 {
        self.random() % n.max(1)
    }

    /// Microseconds since 1970 of a clock that never jumps.
    pub fn now_us(&self) -> u64 {
        self.now_us.load(Ordering::SeqCst)
    }

    /// A clock that may be set wrong.
    pub fn clock(&self) -> Arc<SimClock> {
        Arc::new(SimClock {
            now_us: self.now_us.clone(),
            off_ms: std::sync::atomic::AtomicI64::new(0),
        })
    }

    /// Counts the calls of [`super::in_one_step`]: an odd number while one is under way.
    pub fn steps(&self) -> Arc<AtomicU64> {
        self.steps.clone()
    }

    /// Adds an event to the trace.
    pub fn tell(&self, what: &str, value: u64) {
        let mut hash = self.trace.get();
        for byte in what.bytes() {
            hash = mix(hash ^ u64::from(byte));
        }
        self.trace.set(mix(hash ^ value));
        if let Some(told) = self.told.borrow_mut().as_mut() {
            let (now, (task, process)) = (self.now_us(), self.current.get());
            told.push(format!("{now} p{process} t{task} {what} {value}"));
        }
    }

    /// Keeps the events as text from here on.
    pub fn keep_events(&self) {
        *self.told.borrow_mut() = Some(Vec::new());
    }

    /// The events kept.
    pub fn events(&self) -> Vec<String> {
        self.told.borrow().clone().unwrap_or_default()
    }

    /// A hash over all that has happened.
    pub fn trace(&self) -> u64 {
        self.trace.get()
    }

    /// Polls so far.
    pub fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// What is told to the director and the trace alike.
    pub(super) fn note(&self, what: &'static str, value: u64) {
        self.tell(what, value);
        self.director.noted(self.current.get().0, what, value);
    }

    #[cfg(debug_assertions)]
    pub(super) fn planted(&self, mistake: &'static str) -> bool {
        self.director.planted(mistake)
    }

    fn at_gate(&self, gate: &'static str) -> u64 {
        let (_, process) = self.current.get();
        self.tell(gate, 0);
        if process != MAIN && self.director.at_gate(process, gate) {
            self.end(process);
        }
        self.turns()
    }

    fn turns(&self) -> u64 {
        1 + self.chance(3)
    }

    pub(super) fn spawn<T: 'static>(
        &self,
        task: impl Future<Output = T> + 'static,
    ) -> (u64, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        let work = async move {
            // Nobody may want the answer.
            sender.send(task.await).ok();
        };
        (self.start(self.current.get().1, Box::pin(work)), receiver)
    }

    pub(super) fn abort(&self, id: u64) {
        let task = self.tasks.borrow_mut().remove(&id);
        drop(task);
    }

    fn wait_for<T>(&self, work: impl Future<Output = T>) -> T {
        self.steps.fetch_add(1, Ordering::SeqCst);
        let _context = side_runtime().map(|side| side.enter());
        let value = futures::executor::block_on(work);
        let step = self.steps.fetch_add(1, Ordering::SeqCst);
        self.tell("step", step);
        value
    }
}

// Futures of the engine move between threads where nothing is simulated, so none of them may hold a machine.

/// Whether this thread simulates.
pub(super) fn on() -> bool {
    CURRENT.with_borrow(Option::is_some)
}

/// How often a task at a gate lets others go first; 0 where nothing is simulated.
pub(super) fn turns_at(gate: &'static str) -> u64 {
    machine().map_or(0, |machine| machine.at_gate(gate))
}

/// Lets others go first, once or more often.
pub fn give_way() -> Turns {
    Turns(machine().map_or(0, |machine| machine.turns()))
}

/// Runs a future for which other threads work, to its end; only where [`on`].
pub(super) fn wait_for<T>(work: impl Future<Output = T>) -> Option<T> {
    machine().map(|machine| machine.wait_for(work))
}

/// A timer; only where [`on`].
pub(super) fn sleep(time: Duration) -> Sleep {
    Sleep { at: machine().map_or(0, |m| m.now_us() + micros(time)), key: None }
}

/// The threads that Lance's own tasks run on.
pub(super) fn side_runtime() -> Option<&'static tokio::runtime::Runtime> {
    static SIDE: std::sync::OnceLock<Option<tokio::runtime::Runtime>> = std::sync::OnceLock::new();
    let build = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().ok()
    };
    SIDE.get_or_init(build).as_ref()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 4)
}

/// Makes a machine the thread's own, and gives rayon's work to this thread.
struct Here;

impl Here {
    fn enter(machine: Rc<Machine>) -> Self {
        thread_local! {
            static ALONE: Option<rayon::ThreadPool> =
                rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().ok();
        }
        ALONE.with(|_| {});
        CURRENT.set(Some(machine));
        Self
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        // Destructors of tasks may still ask for the machine.
        if let Some(machine) = machine() {
            let tasks = std::mem::take(&mut *machine.tasks.borrow_mut());
            drop(tasks);
        }
        CURRENT.set(None);
    }
}

/// Lets others go first, so many times.
pub struct Turns(pub(super) u64);

impl Future for Turns {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A timer.
pub(super) struct Sleep {
    at: u64,
    key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(machine) = machine() else { return Poll::Ready(()) };
        if machine.now_us() >= self.at {
            return Poll::Ready(());
        }
        let mut timers = machine.timers.borrow_mut();
        let key = self.key.unwrap_or_else(|| {
            let newest = timers.range((self.at, 0)..=(self.at, u64::MAX)).next_back();
            (self.at, newest.map_or(0, |((_, n), _)| n + 1))
        });
        timers.insert(key, context.waker().clone());
        drop(timers);
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let (Some(key), Some(machine)) = (self.key, machine()) {
            machine.timers.borrow_mut().remove(&key);
        }
    }
}

/// A process's clock: the machine's, and how far it is off.
#[derive(Debug)]
pub struct SimClock {
    now_us: Arc<AtomicU64>,
    off_ms: std::sync::atomic::AtomicI64,
}

impl SimClock {
    /// Sets it forwards or backwards.
    pub fn jump(&self, by_ms: i64) {
        self.off_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        let now = self.now_us.load(Ordering::SeqCst) / 1_000;
        now.saturating_add_signed(self.off_ms.load(Ordering::SeqCst))
    }
}
