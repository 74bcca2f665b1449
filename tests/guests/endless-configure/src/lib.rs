//! Never returns from `configure`.

use plain_policy::Guest;

struct EndlessConfigure;

impl Guest for EndlessConfigure {
    fn configure(_: &str) -> Result<(), String> {
        loop {
            std::hint::spin_loop();
        }
    }
}

plain_policy::export!(EndlessConfigure as budget);
