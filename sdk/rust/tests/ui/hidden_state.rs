use std::cell::Cell;

use tollgate_sdk::{ConfigError, NoConfig, Policy, Setup};

struct Mine {
    seen: Cell<u32>,
}

impl Policy for Mine {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Self { seen: Cell::new(0) })
    }
}

fn main() {}
