//! Compiled components on disk, by digest of the file and version of the engine, so that a restart does not
//! compile again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::digest::ComponentDigest;

/// A folder of compiled components. Loading one is as trusted as running a program: only the host may be able
/// to write here.
#[derive(Clone, Debug)]
pub(crate) struct CompileCache {
    folder: Option<PathBuf>,
}

/// Whether a component was compiled or found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiled {
    /// It was found in the cache.
    Cached,
    /// It was compiled now.
    Now,
}

impl CompileCache {
    pub(crate) const fn none() -> Self {
        Self { folder: None }
    }

    /// A cache in a folder of its own, readable by its owner only. One that cannot be made is no cache: compiling
    /// always works.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let usable = fs::create_dir_all(folder).is_ok() && make_private(folder);
        Self { folder: usable.then(|| folder.to_owned()) }
    }

    pub(crate) fn load(
        &self,
        engine: &wasmtime::Engine,
        digest: &ComponentDigest,
        bytes: &[u8],
    ) -> wasmtime::Result<(wasmtime::component::Component, Compiled)> {
        if let Some(file) = self.file(engine, digest)
            && let Some(component) = read(engine, &file)
        {
            return Ok((component, Compiled::Cached));
        }
        let component = wasmtime::component::Component::new(engine, bytes)?;
        if let Some(file) = self.file(engine, digest)
            && let Ok(compiled) = component.serialize()
        {
            // A cache that cannot be written costs time at the next start, and nothing else.
            let _ = write(&file, &compiled);
        }
        Ok((component, Compiled::Now))
    }

    fn file(&self, engine: &wasmtime::Engine, digest: &ComponentDigest) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{}-{}.cwasm", digest.hex(), engine_key(engine))))
    }
}

/// Changes with wasmtime's version and every setting that changes the code.
fn engine_key(engine: &wasmtime::Engine) -> String {
    struct Hash(Sha256);
    impl std::hash::Hasher for Hash {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut hash = Hash(Sha256::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hash);
    hash.0.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A file is its payload's SHA-256 and the payload; one that was cut short or damaged is compiled anew.
fn read(engine: &wasmtime::Engine, file: &Path) -> Option<wasmtime::component::Component> {
    let bytes = fs::read(file).ok()?;
    let (sum, payload) = bytes.split_at_checked(32)?;
    if Sha256::digest(payload).as_slice() != sum {
        return None;
    }
    // SAFETY: the payload was written by `write` below, from `Component::serialize`, into a folder that only
    // this user can write, and its checksum matches. Wasmtime itself checks that engine and settings are the same.
    #[expect(unsafe_code, reason = "loading compiled code is trusting it; see the SAFETY line")]
    unsafe { wasmtime::component::Component::deserialize(engine, payload) }.ok()
}

fn write(file: &Path, payload: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let temporary = folder.join(format!(".{}-{}.part", std::process::id(), unique()));
    let mut out = fs::File::create(&temporary)?;
    out.write_all(&Sha256::digest(payload))?;
    out.write_all(payload)?;
    drop(out);
    fs::rename(&temporary, file).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

fn unique() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[cfg(unix)]
fn make_private(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).is_ok()
}

#[cfg(not(unix))]
fn make_private(_folder: &Path) -> bool {
    true
}
