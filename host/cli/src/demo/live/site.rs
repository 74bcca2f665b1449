//! The gateway of the demonstration, on free ports of this machine and on a folder that is gone afterwards.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tollgate_core::config::Api;
use tollgate_core::{Configuration, SwitchMode};
use tollgate_gateway::agents::AgentClient;
use tollgate_gateway::{AdminClient, Bounds, KillRequest, Running, Script, Settings, SimulatedProvider, Times};
use tollgate_ledger::calls::Call;
use tollgate_ledger::prices::PriceTable;
use tollgate_ledger::report::{self, Period};

use crate::data::DataArguments;
use crate::setup::SetupArguments;

pub(super) struct Site {
    pub(super) agents: AgentClient,
    admin: AdminClient,
    running: Running,
    _provider: SimulatedProvider,
    folder: Folder,
}

impl Site {
    pub(super) async fn open(setup: &SetupArguments, configuration: &Configuration) -> anyhow::Result<Self> {
        let folder = Folder::make()?;
        let listener = || TcpListener::bind("127.0.0.1:0");
        let provider = SimulatedProvider::start(listener().await?, Script::default())?;
        let token = format!("{:032x}", tollgate_gateway::random_id());
        let settings = Settings {
            data: folder.0.clone(),
            bounds: Bounds::default(),
            // What hangs is a fault of the demonstration, and nobody should wait two minutes to learn that.
            times: Times { between_pieces: Duration::from_secs(20), ..Times::default() },
            admin_token: token.clone(),
            configuration_file: None,
            price_file: None,
            tls: None,
        };
        let listeners = (listener().await?, listener().await?);
        let url = |api: Api| Some(provider.url(api));
        let (builder, prices) = (setup.host_builder()?, PriceTable::builtin());
        let running = Running::open(builder, configuration, prices, settings, listeners, url, Box::new(|_| {}))?;
        Ok(Self {
            agents: AgentClient::new(&format!("http://{}", running.address()), None, Some(token.clone())),
            admin: AdminClient { address: running.admin_address().to_string(), token, certificate: None },
            running,
            _provider: provider,
            folder,
        })
    }

    /// What `tollgate kill --scope run=… --cut` does.
    pub(super) async fn kill(&self, run: &str, reason: &str) -> anyhow::Result<()> {
        let asked = KillRequest {
            covers: format!("run={run}"),
            mode: SwitchMode::Cut,
            reason: reason.to_owned(),
            author: Some("ada".to_owned()),
            for_ms: None,
        };
        let (admin, body) = (self.admin.clone(), serde_json::to_value(asked)?);
        let asked = tokio::task::spawn_blocking(move || admin.call("POST", "/admin/v1/switches", Some(&body)));
        asked.await?.context("the switch was not engaged")?;
        Ok(())
    }

    /// Ends the gateway, and gives what its ledger has.
    pub(super) async fn end(self) -> anyhow::Result<Vec<Call>> {
        self.running.end().await;
        let ledger = DataArguments::of(self.folder.0.clone());
        Ok(report::load(&ledger.read()?, Period::default())?)
    }
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("tollgate-demo-{:032x}", tollgate_gateway::random_id()));
        fs::create_dir(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of a demonstration harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
