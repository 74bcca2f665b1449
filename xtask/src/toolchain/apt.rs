//! Debian packages without touching the system: source list, state and cache are folders of our own, and what
//! is downloaded is unpacked there. Signatures are checked against the installed Debian archive keyring.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::{output, run};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One package source, readable after an update of its own lists.
pub(super) struct Apt {
    folder: PathBuf,
    configuration: PathBuf,
}

impl Apt {
    /// Fetches the lists of `suite` into `folder`.
    pub(super) fn open(folder: &Path, suite: &Suite) -> Result<Self> {
        if !Path::new(KEYRING).is_file() {
            bail!("no Debian archive keyring (`{KEYRING}`)");
        }
        for part in ["state/lists/partial", "cache/archives/partial", "packages"] {
            std::fs::create_dir_all(folder.join(part))?;
        }
        let sources = folder.join("sources.list");
        let line = format!(
            "deb [signed-by={KEYRING}] {} {} main\n",
            suite.site, suite.name
        );
        std::fs::write(&sources, line)?;
        let configuration = folder.join("apt.conf");
        std::fs::write(&configuration, configuration_for(folder, &sources))?;
        let apt = Self {
            folder: folder.to_path_buf(),
            configuration,
        };
        output(
            apt.command("apt-get")
                .args(["--quiet", "update", "--error-on=any"]),
        )?;
        Ok(apt)
    }

    /// The newest version of `package` that begins with `release`: a suite may hold several, and the
    /// candidate apt would choose need not be the one.
    pub(super) fn version(&self, package: &str, release: &str) -> Result<String> {
        let table = output(self.command("apt-cache").args(["madison", package]))?;
        let versions: Vec<&str> = table
            .lines()
            .filter_map(|line| line.split('|').nth(1))
            .map(str::trim)
            .collect();
        match versions
            .iter()
            .find(|version| is_version_of(version, release))
        {
            Some(version) => Ok((*version).to_owned()),
            None if versions.is_empty() => bail!("no package `{package}`"),
            None => bail!(
                "`{package}` is there as {}, not as {release}",
                versions.join(", ")
            ),
        }
    }

    /// The path of the downloaded package file.
    pub(super) fn download(&self, package: &str, version: &str) -> Result<PathBuf> {
        let folder = self.folder.join("packages");
        run(self
            .command("apt-get")
            .current_dir(&folder)
            .args(["--quiet", "download", &format!("{package}={version}")])
            .stdout(Stdio::null()))?;
        let prefix = format!("{package}_");
        std::fs::read_dir(&folder)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
            })
            .with_context(|| format!("apt-get downloaded no `{package}`"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg("--config-file")
            .arg(&self.configuration)
            .stdin(Stdio::null());
        command
    }
}

/// Where packages come from: a site this machine already uses, with a suite of our choice.
pub(super) struct Suite {
    pub(super) site: String,
    pub(super) name: &'static str,
}

/// The Debian sites this machine's own sources name. A mirror here is likely to be reachable; a fixed name may not be.
pub(super) fn sites() -> Result<Vec<String>> {
    let text = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN) $(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    let mut sites: Vec<String> = Vec::new();
    for line in text.lines() {
        // The origin is not known where the system's lists were never fetched.
        let (origin, site) = line.split_once(' ').unwrap_or(("", line));
        if (origin == "Debian" || origin.is_empty() || origin.starts_with('$'))
            && !site.trim_end_matches('/').ends_with("-security")
            && !sites.iter().any(|known| known == site)
        {
            sites.push(site.to_owned());
        }
    }
    if sites.is_empty() {
        bail!("apt names no Debian site");
    }
    Ok(sites)
}

/// Unpacks what lies under `part` of a package file.
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

fn is_version_of(version: &str, release: &str) -> bool {
    version
        .strip_prefix(release)
        .is_some_and(|rest| rest.starts_with(['+', '-', '~']))
}

#[cfg(test)]
mod tests {
    use super::is_version_of;

    #[test]
    fn version_belongs_to_exactly_its_release() {
        assert!(is_version_of("1.95.0+dfsg1-2~bpo13+1", "1.95.0"));
        assert!(is_version_of("1.95.0-1", "1.95.0"));
        assert!(!is_version_of("1.95.01-1", "1.95.0"));
        assert!(!is_version_of("1.96.1+dfsg1-2", "1.95.0"));
    }
}
