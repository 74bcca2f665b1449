//! Guests: builds core modules with the guest toolchain and wraps each into a validated component.
//! Does not judge what a component imports or exports: that is the loader's work, and some test guests are wrong on purpose.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wit_component::ComponentEncoder;

use crate::process::run;
use crate::stage::stage;
use crate::toolchain::{GuestToolchain, TARGET};
use crate::workspace::{Metadata, Package, Project};

/// The policies that ship, each as `target/release/plugins/<package>.wasm`.
pub(crate) fn build_plugins(project: &Project, toolchain: &GuestToolchain) -> Result<()> {
    stage("policies into components", || {
        let manifest = project.plugins_manifest();
        build_workspace(project, toolchain, &manifest, &project.plugins_out())?;
        Ok(())
    })
}

/// The policies and the hostile guests of the tests.
pub(crate) fn build_guests(project: &Project) -> Result<()> {
    let toolchain = GuestToolchain::obtain(project)?;
    build_plugins(project, &toolchain)?;
    stage("test guests into components", || {
        let manifest = project.test_guests_manifest();
        let out = project.test_guests_out();
        let built = build_workspace(project, &toolchain, &manifest, &out)?;
        remove_others(&out, &built)
    })
}

/// One policy crate from any folder, for its author.
pub(crate) fn build_one(project: &Project, folder: &Path, out: Option<PathBuf>) -> Result<()> {
    let manifest = std::path::absolute(folder.join("Cargo.toml"))?;
    let wanted = manifest.canonicalize().with_context(|| format!("there is no `{}`", manifest.display()))?;
    let metadata = Metadata::of(&manifest)?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.manifest_path.canonicalize().is_ok_and(|path| path == wanted))
        .with_context(|| format!("`{}` is a workspace, not a policy crate", folder.display()))?;
    let module = package.core_module().with_context(|| {
        format!(
            "`{}` builds no module: put `crate-type = [\"cdylib\", \"rlib\"]` under `[lib]` in its Cargo.toml",
            package.name
        )
    })?;
    let toolchain = GuestToolchain::obtain(project)?;
    let out = out.unwrap_or_else(|| project.plugins_out().join(component_name(package)));
    cargo_build(project, &toolchain, package.folder(), &["--package", &package.name])?;
    wrap(&module_folder(project, &toolchain).join(module), &out)?;
    println!("{}", out.display());
    Ok(())
}

/// The core module of one package, for a host that takes no components.
pub(crate) fn build_core_module(
    project: &Project,
    toolchain: &GuestToolchain,
    manifest: &Path,
    package: &str,
) -> Result<PathBuf> {
    let metadata = Metadata::of(manifest)?;
    let found = metadata.packages.iter().find(|member| member.name == package);
    let module = found
        .and_then(Package::core_module)
        .with_context(|| format!("`{}` has no member `{package}` that builds a cdylib", manifest.display()))?;
    let folder = manifest.parent().context("a manifest lies in a folder")?;
    cargo_build(project, toolchain, folder, &["--package", package])?;
    Ok(module_folder(project, toolchain).join(module))
}

fn build_workspace(project: &Project, toolchain: &GuestToolchain, manifest: &Path, out: &Path) -> Result<Vec<PathBuf>> {
    let metadata = Metadata::of(manifest)?;
    let guests: Vec<(&Package, String)> =
        metadata.packages.iter().filter_map(|package| Some((package, package.core_module()?))).collect();
    if guests.is_empty() {
        bail!("`{}` has no member that builds a cdylib", manifest.display());
    }
    let folder = manifest.parent().context("a manifest lies in a folder")?;
    cargo_build(project, toolchain, folder, &["--workspace"])?;
    let mut written = Vec::new();
    for (package, module) in guests {
        let component = out.join(component_name(package));
        let bytes = wrap(&module_folder(project, toolchain).join(module), &component)?;
        eprintln!("{:>9} bytes  {}", bytes, component_name(package));
        written.push(component);
    }
    Ok(written)
}

fn component_name(package: &Package) -> String {
    format!("{}.wasm", package.name)
}

fn cargo_build(project: &Project, toolchain: &GuestToolchain, folder: &Path, selection: &[&str]) -> Result<()> {
    let mut command = toolchain.cargo(project);
    command
        .current_dir(folder)
        .args(["build", "--release", "--lib", "--target", TARGET])
        .arg("--target-dir")
        .arg(build_folder(project, toolchain))
        .args(selection);
    run(&mut command)
}

/// Keyed by the toolchain: cargo does not notice that a sysroot was made anew.
fn build_folder(project: &Project, toolchain: &GuestToolchain) -> PathBuf {
    project.target.join("guests-build").join(toolchain.identity())
}

fn module_folder(project: &Project, toolchain: &GuestToolchain) -> PathBuf {
    build_folder(project, toolchain).join(TARGET).join("release")
}

/// Wraps a core module into a component; leaves a file that would not change alone, so that its age means something.
fn wrap(module: &Path, component: &Path) -> Result<usize> {
    let core = std::fs::read(module).with_context(|| format!("cargo left no `{}`", module.display()))?;
    let bytes = ComponentEncoder::default()
        .validate(true)
        .module(&core)
        .and_then(|mut encoder| encoder.encode())
        .with_context(|| format!("`{}` does not make a component", module.display()))?;
    if std::fs::read(component).is_ok_and(|old| old == bytes) {
        return Ok(bytes.len());
    }
    if let Some(folder) = component.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("could not make `{}`", folder.display()))?;
    }
    // A host that is loading the old file goes on reading the old file.
    let beside = component.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&beside, &bytes)
        .and_then(|()| std::fs::rename(&beside, component))
        .with_context(|| format!("could not write `{}`", component.display()))?;
    Ok(bytes.len())
}

/// Test guests that were renamed or deleted must not go on being found by the tests.
fn remove_others(folder: &Path, keep: &[PathBuf]) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") && !keep.contains(&path) {
            std::fs::remove_file(&path).with_context(|| format!("could not remove `{}`", path.display()))?;
        }
    }
    Ok(())
}
