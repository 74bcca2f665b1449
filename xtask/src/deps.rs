//! Who may depend on whom: reads what every member of every workspace declares and holds it against the rules.

mod rules;

use std::path::Path;

use anyhow::{Context, Result, bail};

use self::rules::{Edge, Kind, Part};
use crate::workspace::{Metadata, Package, Project};

pub(crate) fn check(project: &Project) -> Result<()> {
    let mut count = 0;
    let mut broken = Vec::new();
    let manifests = [
        project.root.join("Cargo.toml"),
        project.plugins_manifest(),
        project.test_guests_manifest(),
        project.peers_manifest(),
    ];
    for manifest in manifests {
        for package in Metadata::of(&manifest)?.packages {
            for edge in edges(&project.root, &package)? {
                count += 1;
                if let Some(rule) = edge.broken_rule() {
                    broken.push(format!("{edge}: {rule}"));
                }
            }
        }
    }
    for line in &broken {
        println!("{line}");
    }
    if !broken.is_empty() {
        bail!("{} of {count} dependencies are forbidden", broken.len());
    }
    println!("dependencies: {count} declared, every one allowed");
    Ok(())
}

fn edges(root: &Path, package: &Package) -> Result<Vec<Edge>> {
    let from = part(root, package.folder()).with_context(|| format!("package `{}`", package.name))?;
    let mut edges = Vec::new();
    for dependency in &package.dependencies {
        let ours = match &dependency.path {
            Some(path) => Some(part(root, path).with_context(|| format!("dependency `{}`", dependency.name))?),
            None => None,
        };
        edges.push(Edge {
            from_name: package.name.clone(),
            from,
            to_name: dependency.name.clone(),
            to: ours,
            kind: Kind::from_cargo(dependency.kind.as_deref()),
        });
    }
    Ok(edges)
}

fn part(root: &Path, folder: &Path) -> Result<Part> {
    let inside = folder.strip_prefix(root).ok().and_then(Path::to_str);
    inside.and_then(Part::of_folder).with_context(|| {
        format!("no rule says what may depend on `{}`: add its folder to xtask/src/deps/rules.rs", folder.display())
    })
}
