//! What is looked at while the gateway runs: keys, certificates, the keys of backends, and how backends are.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::keys::Looked as KeysLooked;
use crate::tls::{Acceptor, Looked as TlsLooked};
use crate::{Gateway, clock};

/// How often files are looked at: a change is taken up well within a second.
const LOOK: Duration = Duration::from_millis(250);

/// Looks until the gateway ends.
pub(crate) fn begin(gateway: &Arc<Gateway>, listeners: Option<Acceptor>) {
    let looking = Arc::clone(gateway);
    gateway.tasks.spawn(async move {
        let (mut look, checks) = (tokio::time::interval(LOOK), TaskTracker::new());
        loop {
            tokio::select! {
                () = looking.ending.cancelled() => break,
                _ = look.tick() => {}
            }
            at_keys(&looking);
            at_certificates(&looking, listeners.as_ref());
            at_backends(&looking, &checks);
        }
        checks.close();
        checks.wait().await;
    });
}

fn at_keys(gateway: &Gateway) {
    match gateway.keys.look() {
        KeysLooked::Same => {}
        KeysLooked::Changed { keys } => gateway.log.line(&format!("keys: {keys} from now on")),
        KeysLooked::Failed(error) => gateway.log.line(&format!("keys: {error}")),
    }
}

fn at_certificates(gateway: &Gateway, listeners: Option<&Acceptor>) {
    match listeners.map(Acceptor::look) {
        None | Some(TlsLooked::Same) => {}
        Some(TlsLooked::Changed) => gateway.log.line("the listeners show another certificate from now on"),
        Some(TlsLooked::Failed(error)) => gateway.log.line(&format!("the certificate of before stays: {error}")),
    }
}

/// Reads keys that have changed, and asks backends that are to be asked how they are. A check is a task of its own, which ends by
/// itself.
fn at_backends(gateway: &Arc<Gateway>, checks: &TaskTracker) {
    for backend in gateway.upstream.serving().backends() {
        if let Some(line) = backend.look_at_key() {
            gateway.log.line(&line);
        }
        if !backend.is_to_be_asked(clock::now_ms()) {
            continue;
        }
        let (asking, asked) = (Arc::clone(gateway), Arc::clone(backend));
        checks.spawn(async move {
            let answered = tokio::select! {
                () = asking.ending.cancelled() => return,
                answered = asked.ask_how_it_is() => answered,
            };
            if let Some(line) = asked.note_check(answered) {
                asking.log.line(&line);
            }
        });
    }
}
