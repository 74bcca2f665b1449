//! Programs that a trial starts, what they use, and how they end. Whatever happens to the trial, they do not outlive it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A running program.
pub(crate) struct Program {
    child: Child,
    name: String,
}

/// How long a program may take to say that it is there, or to end.
const PATIENCE: Duration = Duration::from_secs(120);

impl Program {
    /// Starts a program that says on its output that it is there: `greeting` gets each line until it has found what it
    /// looks for. What it says on its error output goes to a file.
    pub(crate) fn start<T: Send + 'static>(
        command: &mut Command,
        errors: &Path,
        mut greeting: impl FnMut(&str) -> Option<T> + Send + 'static,
    ) -> (Self, T) {
        let name = command.get_program().to_string_lossy().into_owned();
        let errors_file = File::options().create(true).append(true).open(errors).unwrap();
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors_file).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("`{name}` does not start: {error}"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, told) = mpsc::channel();
        // Reads on after the greeting, or the program would wait for a reader.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(found) = greeting(&line) {
                    let _ = tell.send(found);
                }
            }
        });
        let program = Self { child, name };
        let found = told.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!("`{}` did not say that it is there; its errors are in `{}`", program.name, errors.display())
        });
        (program, found)
    }

    /// Starts a program whose output is of no use.
    pub(crate) fn start_silent(command: &mut Command, log: &Path) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = File::options().create(true).append(true).open(log).unwrap();
        let started = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        let child = started.unwrap_or_else(|error| panic!("`{name}` does not start: {error}"));
        Self { child, name }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self, signal: &str) -> ExitStatus {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.id().to_string()]).status().unwrap();
        assert!(sent.success(), "`{}` had ended before it was asked to", self.name);
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "`{}` does not end", self.name);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of a process and its children so far.
pub(crate) fn processor_time(id: u32) -> Duration {
    let family = children(id).into_iter().map(processor_time).sum::<Duration>();
    // utime and stime, the 14th and 15th field, in hundredths of a second; names in brackets may have spaces.
    let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { return family };
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
    family + Duration::from_millis(10 * fields.map(|field| field.parse::<u64>().unwrap()).sum::<u64>())
}

fn children(id: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Memory of a process that is not swapped out, in KiB.
pub(crate) fn resident_kib(id: u32) -> u64 {
    let own = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = own.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    let own: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    own + children(id).into_iter().map(resident_kib).sum::<u64>()
}

/// How much of all processors' time so far was not idle, in hundredths of a second, and how much there was.
pub(crate) fn machine_time() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let fields: Vec<u64> =
        stat.lines().next().unwrap().split_whitespace().skip(1).map(|field| field.parse().unwrap()).collect();
    let (all, idle) = (fields.iter().take(8).sum::<u64>(), fields[3] + fields[4]);
    (all - idle, all)
}
