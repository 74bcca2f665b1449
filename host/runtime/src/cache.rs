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
        self.load_artifact(engine, digest, bytes)
    }

    /// The core module of the component with that digest.
    pub(crate) fn load_module(
        &self,
        engine: &wasmtime::Engine,
        digest: &ComponentDigest,
        bytes: &[u8],
    ) -> wasmtime::Result<(wasmtime::Module, Compiled)> {
        self.load_artifact(engine, digest, bytes)
    }

    fn load_artifact<A: Artifact>(
        &self,
        engine: &wasmtime::Engine,
        digest: &ComponentDigest,
        bytes: &[u8],
    ) -> wasmtime::Result<(A, Compiled)> {
        let file = self
            .folder
            .as_ref()
            .map(|folder| folder.join(format!("{}{}-{}.cwasm", digest.hex(), A::SUFFIX, engine_key(engine))));
        if let Some(artifact) = file.as_ref().and_then(|file| read(engine, file)) {
            return Ok((artifact, Compiled::Cached));
        }
        let artifact = A::compile(engine, bytes)?;
        if let Some(file) = file
            && let Ok(compiled) = artifact.serialize()
        {
            // A cache that cannot be written costs time at the next start, and nothing else.
            let _ = write(&file, &compiled);
        }
        Ok((artifact, Compiled::Now))
    }
}

/// What is compiled and kept.
trait Artifact: Sized {
    /// Behind the digest in the file's name.
    const SUFFIX: &str;

    fn compile(engine: &wasmtime::Engine, bytes: &[u8]) -> wasmtime::Result<Self>;
    fn serialize(&self) -> wasmtime::Result<Vec<u8>>;

    /// # Safety
    /// The bytes are what `serialize` returned.
    #[expect(unsafe_code, reason = "loading compiled code is trusting it; see `read`")]
    unsafe fn deserialize(engine: &wasmtime::Engine, bytes: &[u8]) -> wasmtime::Result<Self>;
}

macro_rules! artifact {
    ($type:ty, $suffix:literal) => {
        impl Artifact for $type {
            const SUFFIX: &str = $suffix;

            fn compile(engine: &wasmtime::Engine, bytes: &[u8]) -> wasmtime::Result<Self> {
                Self::new(engine, bytes)
            }

            fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
                <$type>::serialize(self)
            }

            #[expect(unsafe_code, reason = "the caller's promise is wasmtime's")]
            unsafe fn deserialize(engine: &wasmtime::Engine, bytes: &[u8]) -> wasmtime::Result<Self> {
                // SAFETY: the caller's promise.
                unsafe { <$type>::deserialize(engine, bytes) }
            }
        }
    };
}

artifact!(wasmtime::component::Component, "");
artifact!(wasmtime::Module, "-lent");

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
fn read<A: Artifact>(engine: &wasmtime::Engine, file: &Path) -> Option<A> {
    let bytes = fs::read(file).ok()?;
    let (sum, payload) = bytes.split_at_checked(32)?;
    if Sha256::digest(payload).as_slice() != sum {
        return None;
    }
    // SAFETY: the payload was written by `write` below, from `serialize` of the same kind of artifact, into a folder that only
    // this user can write, and its checksum matches. Wasmtime itself checks that engine and settings are the same.
    #[expect(unsafe_code, reason = "loading compiled code is trusting it; see the SAFETY line")]
    unsafe { A::deserialize(engine, payload) }.ok()
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
