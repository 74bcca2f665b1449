//! Debian packages without touching the system: source list, state and cache are folders of our own, and what
//! is downloaded is unpacked there. Signatures are checked against the installed Debian archive keyring.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::{output, run};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A line of a source list.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) site: String,
    pub(super) suite: String,
}

impl Source {
    pub(super) fn is_security(&self) -> bool {
        self.suite.ends_with("-security") || self.site.trim_end_matches('/').ends_with("-security")
    }
}

/// What this machine's own sources say of Debian. A site named there is likely to be reachable; a fixed one may not be.
pub(super) fn own_sources() -> Result<Vec<Source>> {
    let text = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN)|$(RELEASE)|$(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    let mut sources: Vec<Source> = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('|');
        let (Some(origin), Some(suite), Some(site)) = (fields.next(), fields.next(), fields.next()) else {
            bail!("apt-get indextargets printed `{line}`");
        };
        let source = Source { site: site.to_owned(), suite: suite.to_owned() };
        // apt does not know the origin where the system's lists were never fetched, and prints `$(ORIGIN)` as it was asked.
        let may_be_debian = matches!(origin, "Debian" | "" | "$(ORIGIN)");
        if may_be_debian && !sources.contains(&source) {
            sources.push(source);
        }
    }
    if sources.is_empty() {
        bail!("apt names no Debian site");
    }
    Ok(sources)
}

/// Package lists of our own choice, freshly fetched.
pub(super) struct Apt {
    folder: PathBuf,
    configuration: PathBuf,
}

impl Apt {
    /// Fetches the lists of `sources` into `folder`.
    pub(super) fn open(folder: &Path, sources: &[Source]) -> Result<Self> {
        if !Path::new(KEYRING).is_file() {
            bail!("no Debian archive keyring (`{KEYRING}`)");
        }
        for part in ["state/lists/partial", "cache/archives/partial", "packages"] {
            std::fs::create_dir_all(folder.join(part))?;
        }
        let list = folder.join("sources.list");
        let lines: String = sources
            .iter()
            .map(|source| format!("deb [signed-by={KEYRING}] {} {} main\n", source.site, source.suite))
            .collect();
        std::fs::write(&list, lines)?;
        let configuration = folder.join("apt.conf");
        std::fs::write(&configuration, configuration_for(folder, &list))?;
        let apt = Self { folder: folder.to_path_buf(), configuration };
        output(apt.command("apt-get").args(["--quiet", "update", "--error-on=any"]))?;
        Ok(apt)
    }

    /// Newest first.
    pub(super) fn versions(&self, package: &str) -> Result<Vec<String>> {
        let table = output(self.command("apt-cache").args(["madison", package]))?;
        let versions: Vec<String> =
            table.lines().filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned())).collect();
        if versions.is_empty() {
            bail!("no package `{package}`");
        }
        Ok(versions)
    }

    /// Everything that `package` needs, itself included.
    pub(super) fn closure(&self, package: &str) -> Result<Vec<String>> {
        let text = output(self.command("apt-cache").args([
            "depends",
            "--recurse",
            "--no-recommends",
            "--no-suggests",
            "--no-conflicts",
            "--no-breaks",
            "--no-replaces",
            "--no-enhances",
            package,
        ]))?;
        let names = text.lines().filter(|line| !line.starts_with([' ', '<', '|']));
        Ok(names.map(str::to_owned).collect())
    }

    /// The path of the package file; `package` is a name or `name=version`.
    pub(super) fn download(&self, package: &str) -> Result<PathBuf> {
        let folder = self.folder.join("packages");
        run(self.command("apt-get").current_dir(&folder).args(["--quiet", "download", package]).stdout(Stdio::null()))?;
        let name = package.split_once('=').map_or(package, |(name, _)| name);
        let prefix = format!("{name}_");
        std::fs::read_dir(&folder)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&prefix)))
            .with_context(|| format!("apt-get downloaded no `{package}`"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Through the environment it would be read before the system's, which it has to overrule.
        command.arg("--config-file").arg(&self.configuration);
        command
    }
}

/// Unpacks what lies under `part` of a package file; `.` is all of it.
pub(super) fn unpack(package: &Path, part: &str, into: &Path) -> Result<()> {
    std::fs::create_dir_all(into)?;
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        // It complains when tar has what it wants and stops reading.
        .stderr(Stdio::null())
        .spawn()
        .context("could not start `dpkg-deb`")?;
    let stream = archive.stdout.take().expect("its output is a pipe");
    let unpacked = run(Command::new("tar")
        .args(["--extract", "--no-same-owner", "--directory"])
        .arg(into)
        .arg(part)
        .stdin(stream));
    archive.wait()?;
    unpacked.with_context(|| format!("could not unpack `{part}` of `{}`", package.display()))
}

fn configuration_for(folder: &Path, sources: &Path) -> String {
    // The system's configuration is still read, for its proxies; its hooks after an update are not run.
    format!(
        "#clear APT::Update;\n\
         Dir::Etc::sourcelist \"{sources}\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\n\
         Dir::State \"{folder}/state\";\n\
         Dir::State::status \"/dev/null\";\n\
         Dir::Cache \"{folder}/cache\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::http::Timeout \"30\";\n\
         Acquire::https::Timeout \"30\";\n\
         APT::Sandbox::User \"root\";\n",
        sources = sources.display(),
        folder = folder.display(),
    )
}
