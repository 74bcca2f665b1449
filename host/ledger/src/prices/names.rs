//! Other names under which a table may know a model.
//!
//! The rule, in this order; the first name the table prices wins, and the outcome says which it was:
//! 1. without what stands before a `/`, from the left: `anthropic/claude-x` → `claude-x`;
//! 2. without a date or `latest` at the end: `gpt-5-2025-08-07`, `claude-x-20250929`, `claude-x@20250929` → `gpt-5`, `claude-x`;
//! 3. both;
//! 4. with what a single entry of the table has before its last `/`: `gemini-x` → `gemini/gemini-x`. Two such
//!    entries are two prices, and none is taken.

/// The names of rules 1 to 3 for `model`, without itself.
pub(super) fn alternatives(model: &str) -> Vec<&str> {
    let unprefixed = || std::iter::successors(Some(model), |name| name.split_once('/').map(|(_, rest)| rest));
    let mut names: Vec<&str> = unprefixed().skip(1).collect();
    names.extend(unprefixed().filter_map(undated));
    names.retain(|name| !name.is_empty());
    names
}

/// The name without its date, if it ends in one.
pub(super) fn undated(name: &str) -> Option<&str> {
    if let Some(stem) = name.strip_suffix("-latest") {
        return Some(stem);
    }
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((stem, date)) = name.rsplit_once(['-', '@'])
        && digits(date, 8)
    {
        return Some(stem);
    }
    let (rest, day) = name.rsplit_once('-')?;
    let (rest, month) = rest.rsplit_once('-')?;
    let (stem, year) = rest.rsplit_once('-')?;
    (digits(day, 2) && digits(month, 2) && digits(year, 4)).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_dates_fall_away() {
        assert_eq!(alternatives("claude-x"), Vec::<&str>::new());
        assert_eq!(alternatives("a/b/c"), ["b/c", "c"]);
        assert_eq!(alternatives("gpt-5-2025-08-07"), ["gpt-5"]);
        assert_eq!(alternatives("claude-x@20250929"), ["claude-x"]);
        assert_eq!(alternatives("mistral/small-latest"), ["small-latest", "mistral/small", "small"]);
        assert_eq!(alternatives("x/"), Vec::<&str>::new());
    }

    #[test]
    fn a_version_is_no_date() {
        for name in ["gpt-4-0613", "claude-opus-4-6", "qwen3-235b", "m-1-2-3"] {
            assert_eq!(undated(name), None, "{name}");
        }
    }
}
