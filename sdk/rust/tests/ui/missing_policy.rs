use tollgate_sdk::{KillSwitch, kill_switch};

struct Mine;

impl KillSwitch for Mine {
    fn evaluate(&self, _: &kill_switch::Facts) -> kill_switch::Verdict {
        kill_switch::Verdict::Proceed
    }
}

fn main() {}
