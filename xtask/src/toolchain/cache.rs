//! Where made toolchains are kept: one folder each, which appears only when it is complete.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace::Project;

/// A folder of the user's, so that a second checkout does not make the same toolchain again.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(super) fn open(project: &Project) -> Result<Self> {
        let own = user_cache().map(|folder| folder.join("tollgate/guest-toolchain"));
        let fallback = project.target.join("guest-toolchain");
        for folder in own.into_iter().chain([fallback.clone()]) {
            if std::fs::create_dir_all(&folder).is_ok() && is_writable(&folder) {
                return Ok(Self { folder });
            }
        }
        anyhow::bail!("could not make a folder for the guest toolchain: `{}`", fallback.display())
    }

    pub(super) fn entry(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes the entry `name` unless another process did so meanwhile. `build` is given an empty folder to
    /// work in and returns the folder in it that becomes the entry; what it leaves besides is removed, and so
    /// is what an interrupted build left.
    pub(super) fn make(&self, name: &str, build: impl FnOnce(&Path) -> Result<PathBuf>) -> Result<()> {
        let _lock = self.lock()?;
        let entry = self.entry(name);
        if entry.exists() {
            return Ok(());
        }
        let workshop = self.folder.join("making");
        remove_if_there(&workshop)?;
        std::fs::create_dir(&workshop).with_context(|| format!("could not make `{}`", workshop.display()))?;
        let built = build(&workshop).and_then(|made| {
            std::fs::rename(&made, &entry).with_context(|| format!("could not move `{}` into place", made.display()))
        });
        remove_if_there(&workshop)?;
        built
    }

    /// Held until it is dropped; whoever comes second waits, and finds the work done.
    fn lock(&self) -> Result<File> {
        let path = self.folder.join("lock");
        let file = File::create(&path).with_context(|| format!("could not make `{}`", path.display()))?;
        if file.try_lock().is_err() {
            super::say("another process is making one; waiting for it");
            file.lock().with_context(|| format!("could not lock `{}`", path.display()))?;
        }
        Ok(file)
    }
}

fn user_cache() -> Option<PathBuf> {
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".cache")))
}

/// Mode bits do not tell (read-only mounts, root), so it is tried.
fn is_writable(folder: &Path) -> bool {
    let probe = folder.join(format!("probe-{}", std::process::id()));
    let written = std::fs::write(&probe, []).is_ok();
    // Nothing to do about a probe that stays behind: it is empty and harms nothing.
    let _ = std::fs::remove_file(&probe);
    written
}

fn remove_if_there(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("could not remove `{}`", folder.display()))?;
    }
    Ok(())
}
