//! Who asks, and for what: read from headers, `baggage`, and the names in the request itself. All external names are here.
//!
//! | name | from, in this order |
//! |---|---|
//! | run | `x-tollgate-run`, baggage `tollgate.run`, metadata `tollgate_run`, `x-litellm-trace-id`, the trace of `traceparent`, else the key's calls without a gap of 30 minutes |
//! | task, task type, stage, priority, attempt | `x-tollgate-…`, baggage, metadata; the task is the run where none is named |
//! | user | `user` of OpenAI, `metadata.user_id` of Anthropic |
//! | other scopes | `x-tollgate-scope: team=red, project=checkout` |

use http::HeaderMap;
use sha2::{Digest, Sha256};
use tollgate_core::{Priority, Scope, ScopeKind, Symbols};

use crate::formats::ModelRequest;
use crate::sessions::Sessions;

/// Whose calls these are, without a trace of the secret itself.
pub(crate) const SCOPE_HEADER: &str = "x-tollgate-scope";

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) run: String,
    pub(crate) task: String,
    pub(crate) task_type: Option<String>,
    pub(crate) stage: Option<String>,
    pub(crate) priority: Priority,
    /// How many times the caller has tried before.
    pub(crate) tried_before: u32,
    /// At most one of each kind; run and key always.
    pub(crate) scopes: Vec<Scope>,
    pub(crate) trace: Option<String>,
}

/// A name that cannot be taken. The caller reads this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("`{name}` must be 1 to {} visible characters", Symbols::MAX_NAME_BYTES)]
    Name { name: String },
    #[error("`{name}: {value}`: {problem}")]
    Value { name: String, value: String, problem: String },
}

impl Identity {
    /// Reads the names of a request for a model.
    pub(crate) fn read(
        headers: &HeaderMap,
        request: &ModelRequest,
        sessions: &Sessions,
        now_ms: u64,
    ) -> Result<Self, IdentityError> {
        let named = |name: &str| named(headers, &request.metadata, name);
        let key = key_name(headers);
        let trace = trace_id(headers);
        let session =
            header(headers, "x-litellm-trace-id")?.or_else(|| trace.clone()).map(|session| format!("{key}/{session}"));
        let run = match named("run")? {
            Some(run) => run,
            None => session.unwrap_or_else(|| sessions.of(&key, now_ms)),
        };
        let task = named("task")?;
        let mut identity = Self {
            task: task.unwrap_or_else(|| run.clone()),
            task_type: named("task-type")?,
            stage: named("stage")?,
            priority: parsed(named("priority")?, "x-tollgate-priority")?.unwrap_or_default(),
            tried_before: parsed::<u32>(named("attempt")?, "x-tollgate-attempt")?
                .map_or(0, |attempt| attempt.saturating_sub(1)),
            scopes: Vec::new(),
            trace,
            run,
        };
        identity.add(ScopeKind::Key, key);
        identity.add(ScopeKind::Run, identity.run.clone());
        if let Some(user) = request.user.as_deref().filter(|user| is_name(user)) {
            identity.add(ScopeKind::User, user.to_owned());
        }
        for scope in header(headers, SCOPE_HEADER)?.iter().flat_map(|list| list.split(',')) {
            let (kind, name) = scope_of(scope.trim())?;
            identity.add(kind, name);
        }
        Ok(identity)
    }

    /// The name of a scope.
    pub(crate) fn scope(&self, kind: ScopeKind) -> Option<&str> {
        self.scopes.iter().find(|scope| scope.kind == kind).map(|scope| &*scope.name)
    }

    /// A scope named before stays: a caller cannot rename its key or its run.
    fn add(&mut self, kind: ScopeKind, name: String) {
        if self.scope(kind).is_none() {
            self.scopes.push(Scope::new(kind, name));
        }
    }
}

/// What a key is called: the beginning of its SHA-256, which says nothing about it.
pub(crate) fn key_name(headers: &HeaderMap) -> String {
    let secret =
        headers.get("x-api-key").or_else(|| headers.get(http::header::AUTHORIZATION)).map(http::HeaderValue::as_bytes);
    let Some(secret) = secret.map(|secret| secret.strip_prefix(b"Bearer ").unwrap_or(secret)) else {
        return "anonymous".to_owned();
    };
    let digest = Sha256::digest(secret);
    digest.iter().take(6).fold("key-".to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

fn scope_of(scope: &str) -> Result<(ScopeKind, String), IdentityError> {
    let wrong =
        |problem: String| IdentityError::Value { name: SCOPE_HEADER.to_owned(), value: scope.to_owned(), problem };
    let (kind, name) = scope.split_once('=').ok_or_else(|| wrong("write `kind=name`, as in `team=red`".to_owned()))?;
    let kind: ScopeKind =
        kind.trim().parse().map_err(|error: tollgate_core::ScopeKindError| wrong(error.to_string()))?;
    let name = name.trim();
    if is_name(name) { Ok((kind, name.to_owned())) } else { Err(IdentityError::Name { name: SCOPE_HEADER.to_owned() }) }
}

fn named(headers: &HeaderMap, metadata: &[(String, String)], name: &str) -> Result<Option<String>, IdentityError> {
    if let Some(value) = header(headers, &format!("x-tollgate-{name}"))? {
        return Ok(Some(value));
    }
    let member = format!("tollgate_{}", name.replace('-', "_"));
    let from_metadata = || metadata.iter().find(|(known, _)| *known == member).map(|(_, value)| value.clone());
    let Some(value) = baggage(headers, &format!("tollgate.{name}")).or_else(from_metadata) else {
        return Ok(None);
    };
    if is_name(&value) { Ok(Some(value)) } else { Err(IdentityError::Name { name: name.to_owned() }) }
}

fn header(headers: &HeaderMap, name: &str) -> Result<Option<String>, IdentityError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str().ok().map(str::trim).filter(|value| is_name(value)) {
        Some(value) => Ok(Some(value.to_owned())),
        None => Err(IdentityError::Name { name: name.to_owned() }),
    }
}

/// Names go into records and tables, and must not take over a terminal.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= Symbols::MAX_NAME_BYTES && !name.contains(char::is_control)
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    value: Option<String>,
    name: &str,
) -> Result<Option<T>, IdentityError> {
    value
        .map(|value| {
            value.parse().map_err(|problem: T::Err| IdentityError::Value {
                name: name.to_owned(),
                value: value.clone(),
                problem: problem.to_string(),
            })
        })
        .transpose()
}

/// A member of W3C `baggage`, without its properties.
fn baggage(headers: &HeaderMap, name: &str) -> Option<String> {
    let lists = headers.get_all("baggage").iter().filter_map(|list| list.to_str().ok());
    let mut members =
        lists.flat_map(|list| list.split(',')).filter_map(|member| member.split(';').next()?.split_once('='));
    members.find(|(known, _)| known.trim() == name).map(|(_, value)| value.trim().to_owned())
}

/// The trace of W3C `traceparent`: 32 hexadecimal digits that are not all zero.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let trace = headers.get("traceparent")?.to_str().ok()?.split('-').nth(1)?;
    let is_id = trace.len() == 32
        && trace.bytes().all(|byte| byte.is_ascii_hexdigit())
        && trace.bytes().any(|byte| byte != b'0');
    is_id.then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;
    use tollgate_core::config::Api;

    use super::*;

    fn read(headers: &[(&'static str, &str)], body: &'static str) -> Result<Identity, IdentityError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let request = ModelRequest::parse(Api::Openai, Bytes::from_static(body.as_bytes())).unwrap();
        Identity::read(&map, &request, &Sessions::default(), 1_000)
    }

    const BODY: &str = r#"{"model":"m","user":"ada"}"#;

    #[test]
    fn names_come_from_headers_baggage_and_metadata_in_this_order() {
        let named = r#"{"model":"m","metadata":{"tollgate_run":"r3","tollgate_task_type":"security"}}"#;
        let identity = read(
            &[("x-tollgate-run", "r1"), ("baggage", "a=b, tollgate.run=r2;x=y"), ("x-tollgate-attempt", "3")],
            named,
        )
        .unwrap();
        assert_eq!((identity.run.as_str(), identity.task.as_str(), identity.tried_before), ("r1", "r1", 2));
        assert_eq!(identity.task_type.as_deref(), Some("security"));
        assert_eq!(read(&[("baggage", "tollgate.run=r2;x=y")], named).unwrap().run, "r2");
        assert_eq!(read(&[], named).unwrap().run, "r3");
    }

    #[test]
    fn without_a_run_it_is_the_session_and_without_one_the_key() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let identity = read(&[("traceparent", trace), ("authorization", "Bearer secret")], BODY).unwrap();
        assert_eq!(identity.run, "key-2bb80d537b1d/4bf92f3577b34da6a3ce929d0e0e4736");
        let identity = read(&[("x-api-key", "secret")], BODY).unwrap();
        assert_eq!(identity.run, "key-2bb80d537b1d@1000");
        assert_eq!(identity.scope(ScopeKind::User), Some("ada"));
        assert_eq!(read(&[], BODY).unwrap().scope(ScopeKind::Key), Some("anonymous"));
        assert!(read(&[("traceparent", "00-00000000000000000000000000000000-x-01")], BODY).unwrap().trace.is_none());
    }

    #[test]
    fn a_caller_cannot_name_another_key_or_run() {
        let identity =
            read(&[("x-tollgate-scope", "team=red, key=boss,run=other"), ("x-tollgate-run", "mine")], BODY).unwrap();
        assert_eq!(identity.scope(ScopeKind::Team), Some("red"));
        assert_eq!(identity.scope(ScopeKind::Key), Some("anonymous"));
        assert_eq!(identity.scope(ScopeKind::Run), Some("mine"));
    }

    #[test]
    fn a_mistake_says_what_to_write() {
        for (name, value, says) in [
            ("x-tollgate-priority", "urgent", "`urgent` is no priority: use low, normal or high"),
            ("x-tollgate-scope", "red", "write `kind=name`"),
            ("x-tollgate-scope", "crew=red", "`crew` is no kind of scope"),
            ("x-tollgate-attempt", "first", "`x-tollgate-attempt: first`"),
            ("x-tollgate-run", "", "must be 1 to 256 visible characters"),
        ] {
            let error = read(&[(name, value)], BODY).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
