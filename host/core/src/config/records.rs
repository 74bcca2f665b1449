//! What an operator writes about decision records: whether there are any, and how much of them is kept.

use serde::Deserialize;

use super::ConfigurationError;

/// How decisions are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordRules {
    /// Whether each decision is recorded. It can be changed while the host runs; what follows holds from its start.
    pub enabled: bool,
    /// How many decisions can wait to be written; one more is lost and counted. 2,048, a tenth of a second at 20,000
    /// decisions a second.
    pub queue: u32,
    /// A file of so many bytes is followed by the next. 16 MiB, some ten thousand decisions.
    pub file_bytes: u64,
    /// How many files are kept; the earliest are deleted. 64, a gibibyte with files of the default size.
    pub files: u32,
}

impl RecordRules {
    /// The longest queue: each place takes some kilobytes of memory once it was used.
    pub const MAX_QUEUE: u32 = 65_536;

    pub(super) fn check(&self) -> Result<(), ConfigurationError> {
        let in_range = |holds: bool, key, value: String, advice| {
            if holds { Ok(()) } else { Err(ConfigurationError::OutOfRange { key, value, advice }) }
        };
        let queue_advice = "at least 1 and at most 65536 decisions can wait";
        in_range((1..=Self::MAX_QUEUE).contains(&self.queue), "records.queue", self.queue.to_string(), queue_advice)?;
        let bytes_advice = "a file has at least 65536 bytes";
        in_range(self.file_bytes >= 65_536, "records.file_bytes", self.file_bytes.to_string(), bytes_advice)?;
        let files_advice = "at least 1 is kept; `enabled = false` keeps none";
        in_range(self.files > 0, "records.files", self.files.to_string(), files_advice)
    }
}

impl Default for RecordRules {
    fn default() -> Self {
        Self { enabled: true, queue: 2_048, file_bytes: 16 << 20, files: 64 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Configuration;

    #[test]
    fn each_bound_says_what_can_be_meant() {
        for (line, says) in [
            ("queue = 0", "`records.queue = 0`"),
            ("queue = 65537", "at most 65536 decisions"),
            ("file_bytes = 1", "at least 65536 bytes"),
            ("files = 0", "`enabled = false` keeps none"),
            ("keep = 1", "unknown field `keep`"),
        ] {
            let error = Configuration::parse(&format!("version = 1\n[records]\n{line}\n"));
            assert!(error.as_ref().is_err_and(|error| error.to_string().contains(says)), "{line}: {error:?}");
        }
    }
}
