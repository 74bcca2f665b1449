//! A strict reader of OpenMetrics text: what a scraper may refuse, this refuses.

use std::collections::{BTreeMap, BTreeSet};

/// Series by name and labels, as they are written.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) series: BTreeMap<String, f64>,
    pub(crate) labels: BTreeSet<String>,
}

impl Metrics {
    pub(crate) fn of(&self, series: &str) -> Option<f64> {
        self.series.get(series).copied()
    }

    /// The sum over all labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.series.iter().filter(|(series, _)| series.split('{').next() == Some(name)).map(|(_, value)| value).sum()
    }
}

/// Reads a whole page, or says which line is wrong.
pub(crate) fn read(text: &str) -> Result<Metrics, String> {
    let mut metrics = Metrics::default();
    let mut family: Option<(String, String)> = None;
    let mut families = BTreeSet::new();
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end with `# EOF`")?;
    for line in body.lines() {
        let wrong = |why: &str| format!("{why}: `{line}`");
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (keyword, name, value) = (words.next(), words.next().ok_or(wrong("no name"))?, words.next());
            match keyword {
                Some("HELP") => {
                    if !families.insert(name.to_owned()) {
                        return Err(wrong("a family is there twice"));
                    }
                    family = Some((name.to_owned(), String::new()));
                }
                Some("TYPE") => {
                    let kind = value.ok_or(wrong("no type"))?;
                    let known = family.as_mut().filter(|(known, kind)| known == name && kind.is_empty());
                    known.ok_or(wrong("a type without its help"))?.1 = kind.to_owned();
                }
                Some("UNIT") if name.ends_with(&format!("_{}", value.unwrap_or("?"))) => {}
                _ => return Err(wrong("not a descriptor")),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').ok_or(wrong("no value"))?;
        let value: f64 = value.parse().map_err(|_| wrong("no number"))?;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').ok_or(wrong("labels without an end"))?;
        let (family, kind) = family.as_ref().ok_or(wrong("a series without a family"))?;
        let suffixes: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => return Err(wrong("a type that is none")),
        };
        let suffix = name.strip_prefix(family.as_str()).filter(|suffix| suffixes.contains(suffix));
        suffix.ok_or(wrong("a name that is not its family's"))?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') || !value.is_finite() {
            return Err(wrong("a name or a number that is none"));
        }
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (label, quoted) = label.split_once('=').ok_or(wrong("a label without a value"))?;
            let inner = quoted.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"'));
            inner.filter(|inner| !inner.contains(['"', '\\'])).ok_or(wrong("a label's value"))?;
            metrics.labels.insert(label.to_owned());
        }
        if metrics.series.insert(series.to_owned(), value).is_some() {
            return Err(wrong("a series is there twice"));
        }
    }
    Ok(metrics)
}
