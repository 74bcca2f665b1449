//! The rules behind extism's own way in and out: MessagePack in, a number out.

use extism_pdk::{FnResult, Msgpack, plugin_fn};
use peer_rules::Facts;

/// Decides one dispatch.
#[plugin_fn]
pub fn decide(Msgpack(facts): Msgpack<Facts>) -> FnResult<i64> {
    Ok(peer_rules::decide(&facts).number())
}
