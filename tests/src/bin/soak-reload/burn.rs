//! Processor time: what was spent, and spending as much without reloading anything.

use std::fs;
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

/// What one reload cost, beside the load.
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) processor_ns: u64,
}

impl Cost {
    /// Spends the same processor time, on as many threads as it was spent on, and takes at least as long.
    pub(crate) fn burn(&self) {
        let began = Instant::now();
        let wall_ns = self.wall.as_nanos().max(1) as u64;
        let threads = self.processor_ns.div_ceil(wall_ns).clamp(1, 64);
        let each_ns = self.processor_ns / threads;
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| burn(each_ns));
            }
        });
        thread::sleep(self.wall.saturating_sub(began.elapsed()));
    }
}

fn burn(nanoseconds: u64) {
    let mut table = vec![1_u64; 1 << 14];
    let began = thread_ns();
    let mut place = 0_usize;
    while thread_ns() - began < nanoseconds {
        // A compiler reads and writes memory that fits no first-level cache; so does this.
        for _ in 0..20_000 {
            place = (place * 5 + 1) % table.len();
            table[place] = black_box(table[place].wrapping_mul(31));
        }
    }
}

/// On a processor so far: this thread.
pub(crate) fn thread_ns() -> u64 {
    on_processor("/proc/thread-self/schedstat")
}

/// The same of all threads of the process, those that ended among them.
pub(crate) fn process_ns() -> u64 {
    // utime and stime, the 14th and 15th field, in hundredths of a second; names in brackets may have spaces.
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
    fields.map(|field| field.parse::<u64>().unwrap()).sum::<u64>() * 10_000_000
}

fn on_processor(file: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("`{file}`: {error}; this test runs on Linux"));
    text.split(' ').next().and_then(|field| field.parse().ok()).unwrap()
}

/// Memory of the process that is not swapped out.
pub(crate) fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
