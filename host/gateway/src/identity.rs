//! Who asks, and for what: read from headers, `baggage`, and the names in the request itself. All external names are here.
//!
//! | name | from, in this order |
//! |---|---|
//! | run | `x-tollgate-run`, baggage `tollgate.run`, metadata `tollgate_run`, `x-litellm-trace-id`, the trace of `traceparent`, else the key's calls without a gap of 30 minutes |
//! | task, task type, stage, priority, attempt, tier | `x-tollgate-…`, baggage, metadata; the task is the run where none is named |
//! | other scopes | `x-tollgate-scope: team=red, project=checkout`, baggage `tollgate.team`, metadata `tollgate_team`, else the key's own |
//! | user | as other scopes, else `user` of OpenAI, `metadata.user_id` of Anthropic, where the key may claim it |

use http::{HeaderMap, HeaderName};
use tollgate_core::{Priority, Scope, ScopeKind, Symbols, Tier};

use crate::keys::{Caller, ClaimError, is_name};
use crate::sessions::Sessions;

pub(crate) const SCOPE_HEADER: &str = "x-tollgate-scope";

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) run: String,
    pub(crate) task: String,
    pub(crate) task_type: Option<String>,
    pub(crate) stage: Option<String>,
    pub(crate) priority: Priority,
    /// The priority that was asked for, where it is above what the key may have.
    pub(crate) capped_priority: Option<Priority>,
    /// The tier that the caller chose, which it has the right to.
    pub(crate) tier: Option<Tier>,
    /// How many times the caller has tried before.
    pub(crate) tried_before: u32,
    /// At most one of each kind; run and key always.
    pub(crate) scopes: Vec<Scope>,
    pub(crate) trace: Option<String>,
    /// The caller named its run, and not only a session.
    pub(crate) names_run: bool,
    pub(crate) names_task: bool,
}

/// Names that stand in a request's body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told<'a> {
    pub(crate) metadata: &'a [(String, String)],
    pub(crate) user: Option<&'a str>,
}

/// A name that cannot be taken. The caller reads this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("`{name}` must be 1 to {} visible characters", Symbols::MAX_NAME_BYTES)]
    Name { name: String },
    #[error("`{name}` is there twice: readers differ in which one counts, so send it once")]
    Twice { name: String },
    #[error("`{name}: {value}`: {problem}")]
    Value { name: String, value: String, problem: String },
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

impl Identity {
    /// Reads the names of a request.
    pub(crate) fn read(
        headers: &HeaderMap,
        told: Told<'_>,
        caller: &Caller,
        sessions: &Sessions,
        now_ms: u64,
    ) -> Result<Self, IdentityError> {
        let names = Names::of(headers, told.metadata);
        let trace = trace_id(headers);
        let session = header(headers, &LITELLM_TRACE)?.or_else(|| trace.clone());
        let (named_run, named_task) = (names.named(&RUN)?, names.named(&TASK)?);
        let (names_run, names_task) = (named_run.is_some(), named_task.is_some());
        let run = named_run.unwrap_or_else(|| match session {
            Some(session) => format!("{}/{session}", caller.name()),
            None => sessions.of(caller.name(), now_ms),
        });
        let asked: Priority = parsed(names.named(&PRIORITY)?, &PRIORITY)?.unwrap_or_default();
        let tier = parsed(names.named(&TIER)?, &TIER)?;
        if tier.is_some() {
            caller.override_tier()?;
        }
        let mut identity = Self {
            task: named_task.unwrap_or_else(|| run.clone()),
            task_type: names.named(&TASK_TYPE)?,
            stage: names.named(&STAGE)?,
            priority: asked.min(caller.priority_cap()),
            capped_priority: (asked > caller.priority_cap()).then_some(asked),
            tier,
            tried_before: parsed::<u32>(names.named(&ATTEMPT)?, &ATTEMPT)?
                .map_or(0, |attempt| attempt.saturating_sub(1)),
            scopes: Vec::new(),
            trace,
            names_run,
            names_task,
            run,
        };
        identity.add(ScopeKind::Run, identity.run.clone());
        for (kind, name) in claims(&names)? {
            caller.claim(kind, &name)?;
            // A caller cannot rename its key or its run.
            if kind != ScopeKind::Key {
                identity.add(kind, name);
            }
        }
        identity.add(ScopeKind::Key, caller.name().to_owned());
        identity.add_own(caller);
        // What SDKs send of themselves is no claim: of a user that the key cannot claim nothing is said.
        let user = told.user.filter(|user| is_name(user));
        if let Some(user) = user.filter(|user| caller.claim(ScopeKind::User, user).is_ok()) {
            identity.add(ScopeKind::User, user.to_owned());
        }
        Ok(identity)
    }

    /// The name of a scope.
    pub(crate) fn scope(&self, kind: ScopeKind) -> Option<&str> {
        self.scopes.iter().find(|scope| scope.kind == kind).map(|scope| &*scope.name)
    }

    /// The key's own scopes, where the request says nothing of their kind.
    pub(crate) fn add_own(&mut self, caller: &Caller) {
        for kind in ScopeKind::ALL {
            if let Some(own) = caller.own(kind) {
                self.add(kind, own.to_owned());
            }
        }
    }

    /// A scope named before stays.
    fn add(&mut self, kind: ScopeKind, name: String) {
        if self.scope(kind).is_none() {
            self.scopes.push(Scope::new(kind, name));
        }
    }
}

/// The scopes that a request claims, those of the header first.
fn claims(names: &Names<'_>) -> Result<Vec<(ScopeKind, String)>, IdentityError> {
    let mut claims = Vec::new();
    for list in names.headers.get_all(&SCOPE) {
        let list = list.to_str().map_err(|_| IdentityError::Name { name: SCOPE_HEADER.to_owned() })?;
        for scope in list.split(',') {
            claims.push(scope_of(scope.trim())?);
        }
    }
    // The run has been read already, with everything else that may name it.
    for kind in ScopeKind::ALL.into_iter().filter(|kind| *kind != ScopeKind::Run) {
        for name in [names.in_baggage(kind.as_str()), names.in_metadata(kind.as_str())].into_iter().flatten() {
            if !is_name(&name) {
                return Err(IdentityError::Name { name: format!("tollgate_{}", kind.as_str().replace('-', "_")) });
            }
            claims.push((kind, name));
        }
    }
    Ok(claims)
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

/// What a request can say in a header of ours, or by a name in `baggage` and metadata.
struct Named {
    header: HeaderName,
    name: &'static str,
}

impl Named {
    const fn new(header: &'static str, name: &'static str) -> Self {
        Self { header: HeaderName::from_static(header), name }
    }
}

static RUN: Named = Named::new("x-tollgate-run", "run");
static TASK: Named = Named::new("x-tollgate-task", "task");
static TASK_TYPE: Named = Named::new("x-tollgate-task-type", "task-type");
static STAGE: Named = Named::new("x-tollgate-stage", "stage");
static PRIORITY: Named = Named::new("x-tollgate-priority", "priority");
static ATTEMPT: Named = Named::new("x-tollgate-attempt", "attempt");
static TIER: Named = Named::new("x-tollgate-tier", "tier");
static SCOPE: HeaderName = HeaderName::from_static(SCOPE_HEADER);
static LITELLM_TRACE: HeaderName = HeaderName::from_static("x-litellm-trace-id");
static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Where the names in a request are. Most have none in `baggage` or metadata, so those of ours are found once.
struct Names<'a> {
    headers: &'a HeaderMap,
    /// Members of W3C `baggage` without `tollgate.` and without their properties.
    baggage: Vec<(&'a str, &'a str)>,
    /// Members of metadata without `tollgate_`.
    metadata: Vec<(&'a str, &'a str)>,
}

impl<'a> Names<'a> {
    fn of(headers: &'a HeaderMap, metadata: &'a [(String, String)]) -> Self {
        let lists = headers.get_all(&BAGGAGE).iter().filter_map(|list| list.to_str().ok());
        let members =
            lists.flat_map(|list| list.split(',')).filter_map(|member| member.split(';').next()?.split_once('='));
        let in_baggage =
            |(name, value): (&'a str, &'a str)| Some((name.trim().strip_prefix("tollgate.")?, value.trim()));
        let in_metadata = |(name, value): &'a (String, String)| Some((name.strip_prefix("tollgate_")?, value.as_str()));
        Self {
            headers,
            baggage: members.filter_map(in_baggage).collect(),
            metadata: metadata.iter().filter_map(in_metadata).collect(),
        }
    }

    fn named(&self, named: &Named) -> Result<Option<String>, IdentityError> {
        if let Some(value) = header(self.headers, &named.header)? {
            return Ok(Some(value));
        }
        let Some(value) = self.in_baggage(named.name).or_else(|| self.in_metadata(named.name)) else {
            return Ok(None);
        };
        if is_name(&value) { Ok(Some(value)) } else { Err(IdentityError::Name { name: named.name.to_owned() }) }
    }

    fn in_baggage(&self, name: &str) -> Option<String> {
        self.baggage.iter().find(|(known, _)| *known == name).map(|(_, value)| percent_decoded(value))
    }

    /// Metadata has underscores where our names have hyphens.
    fn in_metadata(&self, name: &str) -> Option<String> {
        let same = |known: &str| known.len() == name.len() && known.split('_').eq(name.split('-'));
        self.metadata.iter().find(|(known, _)| same(known)).map(|(_, value)| (*value).to_owned())
    }
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, IdentityError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(IdentityError::Twice { name: name.to_string() });
    }
    match value.to_str().ok().map(str::trim).filter(|value| is_name(value)) {
        Some(value) => Ok(Some(value.to_owned())),
        None => Err(IdentityError::Name { name: name.to_string() }),
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    value: Option<String>,
    named: &Named,
) -> Result<Option<T>, IdentityError> {
    value
        .map(|value| {
            value.parse().map_err(|problem: T::Err| IdentityError::Value {
                name: named.header.to_string(),
                value: value.clone(),
                problem: problem.to_string(),
            })
        })
        .transpose()
}

/// Values of `baggage` are percent-encoded; what is no code stands for itself.
fn percent_decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        let decoded = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The trace of W3C `traceparent`: 32 hexadecimal digits that are not all zero.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<String> {
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
    use tollgate_core::config::KeyRules;

    use super::*;
    use crate::formats::{Endpoint, ModelRequest};
    use crate::keys::{Keys, Right, holder};

    /// Of a request where there are no keys.
    fn read(headers: &[(&'static str, &str)], body: &'static str) -> Result<Identity, IdentityError> {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path(), KeyRules::default()).unwrap();
        let caller = keys.caller(&map(headers), 0).unwrap();
        read_of(&caller, headers, body)
    }

    fn read_of(
        caller: &Caller,
        headers: &[(&'static str, &str)],
        body: &'static str,
    ) -> Result<Identity, IdentityError> {
        let request = ModelRequest::parse(Endpoint::ChatCompletions, Bytes::from_static(body.as_bytes())).unwrap();
        Identity::read(&map(headers), request.told(), caller, &Sessions::default(), 1_000)
    }

    fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    const BODY: &str = r#"{"model":"m","user":"ada"}"#;

    #[test]
    fn a_name_that_is_there_twice_is_no_name() {
        let twice = [("x-tollgate-run", "a"), ("x-tollgate-run", "b")];
        assert!(matches!(read(&twice, BODY), Err(IdentityError::Twice { name }) if name == "x-tollgate-run"));
    }

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

    #[test]
    fn a_key_brings_its_scopes_and_claims_no_others_by_any_way() {
        let caller = holder(&["team=red", "project=shop"], &[]);
        let identity = read_of(&caller, &[("x-tollgate-priority", "high")], BODY).unwrap();
        let scope = |kind| identity.scope(kind);
        assert_eq!((scope(ScopeKind::Team), scope(ScopeKind::Project)), (Some("red"), Some("shop")));
        assert_eq!((scope(ScopeKind::Key), scope(ScopeKind::User)), (Some("ci"), None), "no word of a user it has not");
        assert_eq!((identity.priority, identity.capped_priority), (Priority::Normal, Some(Priority::High)));
        for (headers, body) in [
            (&[("x-tollgate-scope", "team=red,team=blue")][..], BODY),
            (&[("x-tollgate-scope", "team=red"), ("x-tollgate-scope", "team=blue")], BODY),
            (&[("x-tollgate-scope", "key=boss")], BODY),
            (&[("x-tollgate-scope", "team=red"), ("baggage", "tollgate.team=%62lue")], BODY),
            (&[], r#"{"model":"m","metadata":{"tollgate_work_item":"w"}}"#),
            (&[("x-tollgate-tier", "premium")], BODY),
        ] {
            let refused = read_of(&caller, headers, body).unwrap_err();
            assert!(matches!(refused, IdentityError::Claim(_)), "{headers:?}: {refused}");
        }
    }

    #[test]
    fn the_rights_of_a_key_open_what_they_name() {
        let caller = holder(&["team=red"], &[Right::Claim, Right::OverrideTier]);
        let headers = [("baggage", "tollgate.work-item=a%20b"), ("x-tollgate-tier", "premium")];
        let identity = read_of(&caller, &headers, BODY).unwrap();
        assert_eq!(identity.scope(ScopeKind::WorkItem), Some("a b"));
        assert_eq!((identity.scope(ScopeKind::User), identity.tier), (Some("ada"), Some(Tier::Premium)));
    }

    #[test]
    fn baggage_is_decoded() {
        for (value, decoded) in [("a%20b", "a b"), ("100%", "100%"), ("%zz%4", "%zz%4"), ("%C3%A9", "é"), ("", "")] {
            assert_eq!(percent_decoded(value), decoded);
        }
    }
}
