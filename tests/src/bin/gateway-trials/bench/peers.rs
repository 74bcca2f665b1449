//! The others, with the least that a user would configure: Envoy as a plain HTTP proxy on one thread, LiteLLM with one model
//! and one worker. `cargo xtask bench-gateway` installs them.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Program;
use crate::site::{Folder, free_port};

pub(crate) type Start = fn(&Path, &Folder, SocketAddr) -> (Program, SocketAddr);

pub(crate) fn envoy(peers: &Path, folder: &Folder, provider: SocketAddr) -> (Program, SocketAddr) {
    let port = free_port();
    let file = folder.path("envoy.yaml");
    std::fs::write(&file, envoy_configuration(port, provider.port())).unwrap();
    let mut command = Command::new(peers.join("bin/envoy"));
    command.args(["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error", "--config-path"]).arg(&file);
    await_listening(&mut command, folder, "envoy.log", port)
}

fn envoy_configuration(port: u16, provider: u16) -> String {
    format!(
        r#"
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: HTTP1
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                route: {{ cluster: provider, timeout: 0s }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
  - name: provider
    type: STATIC
    load_assignment:
      cluster_name: provider
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {provider} }} }} }}
"#
    )
}

pub(crate) fn litellm(peers: &Path, folder: &Folder, provider: SocketAddr) -> (Program, SocketAddr) {
    let port = free_port();
    let file = folder.path("litellm.yaml");
    let text = format!(
        "model_list:\n- model_name: gpt-5-mini\n  litellm_params:\n    model: openai/gpt-5-mini\n    api_base: http://{provider}/v1\n    api_key: sk-x\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(peers.join("bin/litellm"));
    command.args(["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False", "--port", &port.to_string()]);
    command.arg("--config").arg(&file);
    // Without these it fetches prices, logs each request, and asks for a key.
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True").env("LITELLM_LOG", "ERROR");
    command.env("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY", "true");
    await_listening(&mut command, folder, "litellm.log", port)
}

/// Starts a program that says nothing, and waits until its port is open.
fn await_listening(command: &mut Command, folder: &Folder, log: &str, port: u16) -> (Program, SocketAddr) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut program = Program::start_silent(command, &folder.path(log));
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(!program.has_ended(), "`{log}`: it has ended; what it said lies in `{}`", folder.path(log).display());
        assert!(began.elapsed() < Duration::from_secs(180), "`{log}`: it does not listen");
        thread::sleep(Duration::from_millis(50));
    }
    (program, address)
}
