use tollgate_sdk::{ConfigError, KillSwitch, NoConfig, Policy, Setup, kill_switch};

struct Mine;

impl Policy for Mine {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

impl KillSwitch for Mine {
    fn evaluate(&self, _: &kill_switch::Facts) -> kill_switch::Verdict {
        kill_switch::Verdict::Proceed
    }
}

tollgate_sdk::export!(Mine: kill_swich);

fn main() {}
