//! `tollgate serve --check`: every mistake of a configuration with its line, without opening a socket or the ledger.

use std::fs;

use anyhow::{Context, bail};
use serde_json::json;
use tollgate_core::config::{Mistake, Review};
use tollgate_core::{Configuration, Hosting};
use tollgate_gateway::{Found, FoundAbout, KeyFile};

use crate::output;
use crate::serve::ServeArguments;
use crate::setup::{self, DEFAULT_CONFIGURATION};

pub(crate) fn run(arguments: &ServeArguments) -> anyhow::Result<()> {
    let file = arguments.setup.config.as_deref();
    let name = file.map_or_else(|| "the default configuration".to_owned(), |file| file.display().to_string());
    let text = match file {
        Some(file) => fs::read_to_string(file).with_context(|| format!("cannot read `{name}`"))?,
        None => DEFAULT_CONFIGURATION.to_owned(),
    };
    let mut review = Review::of(&text);
    let mut warnings = Vec::new();
    if let Some(configuration) = review.configuration.clone() {
        look_at_files(arguments, &configuration, &mut review)?;
        warnings = unpriced(arguments, &configuration, &review);
    }
    show(arguments, &name, &review.mistakes, &warnings)
}

/// What only its files tell: plugins, certificates, keys, prices.
fn look_at_files(
    arguments: &ServeArguments,
    configuration: &Configuration,
    review: &mut Review<'_>,
) -> anyhow::Result<()> {
    let file = arguments.setup.config.as_deref();
    let tls = crate::serve::tls_files(arguments, configuration)?;
    let simulated = arguments.simulate || file.is_none();
    for Found { about, message } in tollgate_gateway::review(configuration, file, tls.as_ref(), simulated) {
        let line = match about {
            FoundAbout::Backend(name) => review.line_of("backend", &name),
            FoundAbout::Budgets => review.line_of_key("budget"),
            FoundAbout::Tls => review.line_of_key("tls"),
        };
        review.add(line, message);
    }
    // One by one: a policy that cannot be loaded says nothing about the next.
    for policy in &configuration.policies {
        let alone = Configuration { policies: vec![policy.clone()], ..configuration.clone() };
        if let Err(error) = arguments.setup.host_builder()?.build(&alone) {
            review.add(review.line_of("policy", &policy.name), output::error_text(&error.into()));
        }
    }
    if let Err(error) = setup::prices(arguments.prices.as_deref()) {
        review.add(None, output::error_text(&error));
    }
    if let Err(error) = KeyFile::of(&arguments.data).read() {
        review.add(None, error.to_string());
    }
    Ok(())
}

/// Nothing is sent to a model without a price, which is allowed and seldom meant.
fn unpriced(arguments: &ServeArguments, configuration: &Configuration, review: &Review<'_>) -> Vec<Mistake> {
    let Ok(prices) = setup::prices(arguments.prices.as_deref()) else { return Vec::new() };
    let remote = configuration.backends.iter().filter(|backend| backend.hosting == Hosting::Remote);
    let mut models: Vec<_> = remote.flat_map(|backend| &backend.models).collect();
    models.sort();
    models.dedup();
    let unpriced = models.into_iter().filter(|model| prices.lookup(model).price().is_none());
    let warning = |model: &String| {
        // One that is not there is a mistake of its own.
        let line = Some(review.line_of("model", model)?);
        let message = format!("`{model}` has no price, so nothing is sent to it: add one with `--prices`");
        Some(Mistake { line, message })
    };
    unpriced.filter_map(warning).collect()
}

fn show(arguments: &ServeArguments, name: &str, mistakes: &[Mistake], warnings: &[Mistake]) -> anyhow::Result<()> {
    let document = |mistake: &Mistake| json!({ "line": mistake.line, "message": mistake.message });
    if arguments.json {
        output::print_json(&json!({
            "file": name,
            "mistakes": mistakes.iter().map(document).collect::<Vec<_>>(),
            "warnings": warnings.iter().map(document).collect::<Vec<_>>(),
        }))?;
    } else {
        let lines = mistakes.iter().map(|mistake| format!("{name}: {mistake}\n"));
        let warnings = warnings.iter().map(|warning| format!("{name}: warning: {warning}\n"));
        let good = mistakes.is_empty().then(|| format!("{name}: nothing to mend\n"));
        output::print(&lines.chain(warnings).chain(good).collect::<String>())?;
    }
    if mistakes.is_empty() {
        return Ok(());
    }
    bail!("{} in {name}", output::counted(mistakes.len() as u64, "mistake"))
}
