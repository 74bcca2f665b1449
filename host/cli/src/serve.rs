//! `tollgate serve`: the gateway, before the models.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tollgate_core::Configuration;
use tollgate_core::config::Api;
use tollgate_gateway::{
    AdminClient, Bounds, KeyFile, Running, Script, Settings, SimulatedProvider, Times, TlsFiles, telemetry,
};

use crate::check;
use crate::logging::LogArguments;
use crate::output;
use crate::setup::{self, SetupArguments};

/// Where a gateway that is running says how it is reached; readable by its owner only, and gone when it ends.
pub(crate) const ADMIN_FILE: &str = "admin.json";

#[derive(Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) setup: SetupArguments,
    /// Only tell the mistakes of the configuration, each with its line; opens no socket and no ledger.
    #[arg(long)]
    check: bool,
    /// Tell them as one JSON object.
    #[arg(long, requires = "check")]
    pub(crate) json: bool,
    /// The folder of the ledger, the keys and the engaged switches.
    #[arg(long, value_name = "FOLDER", default_value = ".tollgate")]
    pub(crate) data: PathBuf,
    /// Where clients are answered.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4800")]
    listen: SocketAddr,
    /// Where operators are answered.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4801")]
    admin: SocketAddr,
    /// Listen on an address that others can reach without keys, although whoever reaches it spends with the backends' keys.
    #[arg(long)]
    open: bool,
    /// The certificate that both listeners show, with those that lead to its root, in PEM; read again when it changes.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// A price table in LiteLLM's format, over the built-in one.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// Answer for backends without a `url` with a simulated provider. It does so by itself where no configuration is given.
    #[arg(long)]
    pub(crate) simulate: bool,
    #[command(flatten)]
    log: LogArguments,
}

pub(crate) fn run(arguments: &ServeArguments) -> anyhow::Result<()> {
    if arguments.check {
        return check::run(arguments);
    }
    let mut configuration = arguments.setup.configuration()?;
    check_addresses(arguments, &configuration)?;
    // Whatever becomes of the file until it is read again: what others can reach takes keys.
    configuration.keys.required |= !arguments.listen.ip().is_loopback() && !arguments.open;
    let observing = arguments.log.begin(&configuration)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(arguments, configuration));
    drop(observing);
    served
}

/// What others can reach takes keys, which stay required for as long as the gateway runs.
fn check_addresses(arguments: &ServeArguments, configuration: &Configuration) -> anyhow::Result<()> {
    let address = arguments.admin;
    let tls = tls_files(arguments, configuration)?.is_some();
    if !address.ip().is_loopback() && !tls {
        bail!(
            "--admin {address} can be reached by others, who could read its token: use a loopback address, or give it TLS with `--tls-cert` and `--tls-key`"
        );
    }
    let address = arguments.listen;
    if !address.ip().is_loopback() && !tls {
        output::warn(&format!(
            "--listen {address}: keys travel in the clear, unless something before it speaks TLS: `--tls-cert` and `--tls-key`"
        ));
    }
    let keys = configuration.keys.required || !KeyFile::of(&arguments.data).read()?.is_empty();
    if !address.ip().is_loopback() && !keys && !arguments.open {
        bail!(
            "--listen {address} can be reached by others, who would spend with the backends' keys: make a key with `tollgate keys create`, \
             or put something that authenticates before it and say `--open`"
        );
    }
    Ok(())
}

/// What the listeners prove themselves by: the arguments' word, else the configuration's, whose files are beside it.
pub(crate) fn tls_files(arguments: &ServeArguments, configuration: &Configuration) -> anyhow::Result<Option<TlsFiles>> {
    let folder = arguments.setup.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate: certificate.clone(), key: key.clone() })),
        (None, None) => Ok(configuration
            .tls
            .as_ref()
            .map(|tls| TlsFiles { certificate: folder.join(&tls.certificate), key: folder.join(&tls.key) })),
        _ => bail!("`--tls-cert` and `--tls-key` go together: give both"),
    }
}

async fn serve(arguments: &ServeArguments, configuration: Configuration) -> anyhow::Result<()> {
    let prices = setup::prices(arguments.prices.as_deref())?;
    let simulated = if arguments.simulate || arguments.setup.config.is_none() {
        Some(SimulatedProvider::start(TcpListener::bind("127.0.0.1:0").await?, Script::default())?)
    } else {
        None
    };
    let listen = |name, address: SocketAddr| async move {
        TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}: free it, or give another {name}"))
    };
    let listeners = (listen("--listen", arguments.listen).await?, listen("--admin", arguments.admin).await?);
    let settings = Settings {
        data: arguments.data.clone(),
        bounds: Bounds::default(),
        times: Times::default(),
        admin_token: format!("{:032x}", tollgate_gateway::random_id()),
        tls: tls_files(arguments, &configuration)?,
        configuration_file: arguments.setup.config.clone(),
        price_file: arguments.prices.clone(),
    };
    let (token, tls) = (settings.admin_token.clone(), settings.tls.clone());
    let certificate = tls.map(|files| std::path::absolute(files.certificate)).transpose()?;
    let url = |api: Api| simulated.as_ref().map(|provider| provider.url(api));
    let log = telemetry::log_line();
    // Signals are listened for before anyone is told that the gateway is there.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let builder = arguments.setup.host_builder();
    let running = Running::open(builder?, &configuration, prices, settings, listeners, url, log)?;
    let admin = AdminClient { address: running.admin_address().to_string(), token, certificate };
    let admin_file = AdminFile::write(&arguments.data, &admin)?;
    output::print(&greeting(&running, &admin, simulated.is_some()))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    eprintln!("tollgate: ending: calls under way may take {} s more", Times::default().drain.as_secs());
    tokio::select! {
        () = running.end() => {}
        // Asked a second time, it ends at once; what was sent and not settled counts in full until it is.
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    drop(admin_file);
    Ok(())
}

fn greeting(running: &Running, admin: &AdminClient, simulated: bool) -> String {
    let address = running.address();
    let scheme = if admin.certificate.is_some() { "https" } else { "http" };
    let models = if simulated { "a simulated provider answers for backends without a `url`\n" } else { "" };
    format!(
        "tollgate is before your models\n{models}\n  OPENAI_BASE_URL={scheme}://{address}/v1\n  ANTHROPIC_BASE_URL={scheme}://{address}\n\n\
         admin on {scheme}://{}, token {}\n",
        admin.address, admin.token
    )
}

/// How the gateway is reached by commands of the same user; removed when it ends.
struct AdminFile(PathBuf);

impl AdminFile {
    fn write(data: &Path, admin: &AdminClient) -> anyhow::Result<Self> {
        let path = data.join(ADMIN_FILE);
        let failed = || format!("cannot write `{}`", path.display());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(failed),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).with_context(failed)?;
        file.write_all(serde_json::to_string(admin)?.as_bytes()).with_context(failed)?;
        Ok(Self(path))
    }
}

impl Drop for AdminFile {
    fn drop(&mut self) {
        // One that is left over names a gateway that no longer answers, which its readers are told.
        let _ = fs::remove_file(&self.0);
    }
}

/// The gateway that runs on a data folder.
pub(crate) fn admin_of(data: &Path) -> anyhow::Result<AdminClient> {
    let path = data.join(ADMIN_FILE);
    let text = fs::read_to_string(&path).with_context(|| {
        format!(
            "no gateway runs on `{}`: start one with `tollgate serve`, or name another folder with `--data`",
            data.display()
        )
    })?;
    serde_json::from_str(&text).with_context(|| format!("`{}`", path.display()))
}
