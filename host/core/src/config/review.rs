//! A configuration with all of its mistakes, for whoever wants to mend them at once: each with its line. [`Configuration::parse`] gives
//! the first and nothing else, since what has one is not taken.

use std::collections::BTreeSet;
use std::fmt;

use serde_path_to_error::Segment;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::{Configuration, ConfigurationError};
use crate::form::{self, FormError};

/// Mistakes that are told at most.
const MOST: usize = 100;

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// From 1; nothing for one that is nowhere.
    pub line: Option<usize>,
    /// What is wrong, and what to write.
    pub message: String,
}

/// A configuration that was looked through.
#[derive(Debug)]
pub struct Review<'a> {
    /// As far as it could be read; nothing where that is not far enough.
    pub configuration: Option<Configuration>,
    /// In the order of their lines.
    pub mistakes: Vec<Mistake>,
    text: &'a str,
    document: DeTable<'a>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl<'a> Review<'a> {
    /// Looks a document through.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let text = form::without_mark(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut review = Self { configuration: None, mistakes: Vec::new(), text, document: document.get_ref().clone() };
        if !errors.is_empty() {
            review.mistakes = errors.iter().map(|error| told(&form::toml_error(text, String::new(), error))).collect();
        } else {
            review.read(document);
            review.weigh();
        }
        review.mistakes.sort_by_key(|mistake| mistake.line);
        review.mistakes.dedup();
        review
    }

    /// The line of the table of that name among those of a kind, such as the `backend` called `openai`.
    #[must_use]
    pub fn line_of(&self, kind: &str, name: &str) -> Option<usize> {
        let named = self.named(kind, name).next()?;
        let name = named.get_ref().get("name").map_or(named.span(), Spanned::span);
        Some(self.line(name.start))
    }

    /// The line of a key, such as `tls.certificate`.
    #[must_use]
    pub fn line_of_key(&self, path: &str) -> Option<usize> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let at = self.document.get(first)?;
        let at = rest.map_or(Some(at), |rest| below(at, rest)).unwrap_or(at);
        Some(self.line(at.span().start))
    }

    /// Adds a mistake that somebody else has found.
    pub fn add(&mut self, line: Option<usize>, message: impl Into<String>) {
        self.mistakes.push(Mistake { line, message: message.into() });
        self.mistakes.sort_by_key(|mistake| mistake.line);
        self.mistakes.dedup();
    }

    /// Reads as much as can be read: what has a mistake of form is told and left out, until the rest is a configuration.
    fn read(&mut self, mut document: Spanned<DeTable<'a>>) {
        let mut mended = BTreeSet::new();
        for _ in 0..MOST {
            let read = serde_path_to_error::deserialize(Deserializer::from(document.clone()));
            let error = match read {
                Ok(configuration) => {
                    self.configuration = Some(configuration);
                    return;
                }
                Err(error) => error,
            };
            let path = steps(error.path());
            let removed = take_out(document.get_mut(), &path);
            // A table that lacks what was taken out of it has no further mistake of its own.
            let follows = removed.as_ref().is_some_and(|removed| mended.contains(&removed.node));
            if !follows {
                let field = error.path().to_string();
                self.mistakes.push(told(&form::toml_error(self.text, without_numbers(&field), error.inner())));
            }
            let Some(removed) = removed else { return };
            mended.insert(removed.parent);
        }
    }

    /// What could be read and cannot be meant.
    fn weigh(&mut self) {
        let found = self.configuration.as_ref().map(Configuration::mistakes).unwrap_or_default();
        for error in found {
            let known = match &error {
                // Left out for a mistake of its own: it is there all the same.
                ConfigurationError::UnknownModel { model, .. } => self.named("model", model).next().is_some(),
                _ => false,
            };
            if !known {
                let mistake = Mistake { line: self.line_of_error(&error), message: error.to_string() };
                self.mistakes.push(mistake);
            }
        }
    }

    fn line_of_error(&self, error: &ConfigurationError) -> Option<usize> {
        match error {
            ConfigurationError::Form(error) => Some(error.line),
            ConfigurationError::Version { .. } => self.line_of_key("version"),
            ConfigurationError::Duplicate { what, name } => {
                let kind = what
                    .strip_suffix("ies")
                    .map_or_else(|| what.trim_end_matches('s').to_owned(), |what| format!("{what}y"));
                let again = self.named(&kind, name).nth(1)?;
                Some(self.line(again.get_ref().get("name").map_or(again.span(), Spanned::span).start))
            }
            ConfigurationError::SameBudget { .. } => {
                self.document.get("budget").map(|budgets| self.line(budgets.span().start))
            }
            ConfigurationError::OutOfRange { key, .. } => match key.strip_prefix("backend.") {
                Some(key) => {
                    self.tables("backend").find_map(|backend| below(backend, key)).map(|at| self.line(at.span().start))
                }
                None => self.line_of_key(key),
            },
            ConfigurationError::UnknownModel { backend, model } => {
                let models = self.named("backend", backend).next()?.get_ref().get("models")?;
                let listed =
                    models.get_ref().as_array()?.iter().find(|listed| listed.get_ref().as_str() == Some(model));
                Some(self.line(listed.unwrap_or(models).span().start))
            }
        }
    }

    fn tables(&self, kind: &str) -> impl Iterator<Item = &Spanned<DeValue<'a>>> {
        self.document
            .get(kind)
            .and_then(|tables| tables.get_ref().as_array())
            .into_iter()
            .flat_map(|tables| tables.iter())
    }

    fn named<'s>(&'s self, kind: &str, name: &str) -> impl Iterator<Item = &'s Spanned<DeValue<'a>>> {
        let name = name.to_owned();
        self.tables(kind).filter(move |table| {
            table.get_ref().get("name").and_then(|own| own.get_ref().as_str()) == Some(name.as_str())
        })
    }

    fn line(&self, start: usize) -> usize {
        form::place(self.text, start).0
    }
}

/// What was taken out of a document, and out of which table or list, by where they stand in the text.
struct TakenOut {
    node: usize,
    parent: usize,
}

enum Step {
    Key(String),
    Number(usize),
}

fn steps(path: &serde_path_to_error::Path) -> Vec<Step> {
    let known = path.iter().map_while(|segment| match segment {
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Seq { index } => Some(Step::Number(*index)),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    known.collect()
}

/// Takes out what a path leads to, as far as it leads.
fn take_out(document: &mut DeTable<'_>, path: &[Step]) -> Option<TakenOut> {
    let (Step::Key(first), rest) = path.split_first()? else { return None };
    let taken = document.get_mut(first.as_str()).and_then(|at| take_out_below(at, rest));
    taken.or_else(|| {
        let node = document.remove(first.as_str())?.span().start;
        Some(TakenOut { node, parent: usize::MAX })
    })
}

fn take_out_below(at: &mut Spanned<DeValue<'_>>, path: &[Step]) -> Option<TakenOut> {
    let (step, rest) = path.split_first()?;
    let parent = at.span().start;
    match (at.get_mut(), step) {
        (DeValue::Table(table), Step::Key(key)) => {
            let deeper = table.get_mut(key.as_str()).and_then(|at| take_out_below(at, rest));
            deeper.or_else(|| Some(TakenOut { node: table.remove(key.as_str())?.span().start, parent }))
        }
        (DeValue::Array(list), Step::Number(number)) => {
            let deeper = list.get_mut(*number).and_then(|at| take_out_below(at, rest));
            deeper.or_else(|| {
                let node = list.get(*number)?.span().start;
                let mut without = DeArray::new();
                let others = list.iter().enumerate().filter(|(other, _)| other != number);
                others.for_each(|(_, other)| without.push(other.clone()));
                *list = without;
                Some(TakenOut { node, parent })
            })
        }
        _ => None,
    }
}

fn below<'v, 'a>(at: &'v Spanned<DeValue<'a>>, path: &str) -> Option<&'v Spanned<DeValue<'a>>> {
    path.split('.').try_fold(at, |at, key| at.get_ref().get(key))
}

/// Places in lists move when what stands before them is left out; the line says which one it is.
fn without_numbers(field: &str) -> String {
    let mut parts = field.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    let text = parts.fold(first, |text, part| text + part.split_once(']').map_or(part, |(_, after)| after));
    text.trim_end_matches(['?', '.']).to_owned()
}

fn told(error: &FormError) -> Mistake {
    Mistake { line: Some(error.line), message: error.without_place() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: &str = r#"version = 2
colour = "red"
[quarantine]
keys = 0
[[model]]
name = "a"
tier = "best"
[[model]]
name = "b"
tier = "low"
size = 7
[[model]]
name = "b"
tier = "low"
[[backend]]
name = "one"
models = ["a", "b",
  "gone"]
slots = "many"
[[backend]]
name = "two"
models = []
key_env = "A"
key_file = "b"
[[policy]]
component = "x.wasm"
[[budget]]
scope = "run"
limit = "ten"
"#;

    #[test]
    fn every_mistake_has_its_line() {
        let review = Review::of(WRONG);
        let told: Vec<_> = review.mistakes.iter().map(ToString::to_string).collect();
        for (line, says) in [
            (1, "this build reads version 1"),
            (2, "`colour`: unknown field"),
            (4, "`quarantine.keys = 0`"),
            (7, "`model.tier`: unknown variant `best`"),
            (11, "`model.size`: unknown field"),
            (13, "two models are called `b`"),
            (18, "serves `gone`, which no [[model]] names"),
            (19, "`backend.slots`: invalid type"),
            (24, "say `key_env` or `key_file`"),
            (25, "missing field `name`"),
            (27, "`limit`: `ten` is not an amount of money"),
        ] {
            let found = told.iter().any(|told| told.starts_with(&format!("line {line}: ")) && told.contains(says));
            assert!(found, "line {line}: {says}\n{told:#?}");
        }
        assert_eq!(told.len(), 11, "{told:#?}");
        assert_eq!((review.line_of("backend", "two"), review.line_of_key("quarantine.keys")), (Some(21), Some(4)));
    }

    #[test]
    fn mistakes_of_toml_come_alone_and_all_of_them() {
        let review = Review::of("version = 1\na = [1,\nb = \nc = 5\n[[model]]\nname = x\n");
        assert!(review.mistakes.len() >= 2 && review.configuration.is_none(), "{:?}", review.mistakes);
        let review = Review::of("");
        assert_eq!(review.mistakes.len(), 1, "{:?}", review.mistakes);
        assert!(review.mistakes.iter().all(|mistake| mistake.message.contains("missing field `version`")));
    }

    #[test]
    fn what_is_right_has_none() {
        let review = Review::of("version = 1\n[[model]]\nname = \"m\"\ntier = \"low\"\n");
        assert_eq!(review.mistakes, []);
        assert!(review.configuration.is_some());
    }
}
