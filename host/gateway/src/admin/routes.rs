//! Every route of the admin listener: what it takes, and who may. `openapi.json` says the same for others, and a test compares
//! the two.

use http::Method;

use super::tokens::Role;

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    /// `GET`, `POST` or `DELETE`.
    pub(crate) method: Method,
    /// With a name in braces for each segment that is a parameter.
    pub(crate) path: &'static str,
    /// Who may, and whoever may more.
    pub(crate) role: Role,
    /// The names that its query may have.
    pub(crate) query: &'static [&'static str],
    pub(crate) operation: Operation,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Document,
    Status,
    Policies,
    Generations,
    RollBack,
    Reload,
    Candidate,
    Promote,
    Discard,
    Switches,
    Engage,
    Lift,
    Approvals,
    Approval,
    Approve,
    Deny,
    Budgets,
    SetLimit,
    Report,
    Records,
    Audit,
    Tokens,
    CreateToken,
    RevokeToken,
}

const RECORD_FILTERS: &[&str] = &[
    "since",
    "until",
    "outcome",
    "run",
    "task",
    "task_type",
    "stage",
    "scope",
    "model",
    "by",
    "policy",
    "kind",
    "verdict",
    "last",
    "files",
];
const REPORT_QUERY: &[&str] = &["from", "until", "zone", "count", "model", "name", "hour", "minutes"];

const fn get(path: &'static str, query: &'static [&'static str], operation: Operation) -> Route {
    Route { method: Method::GET, path, role: Role::Viewer, query, operation }
}

const fn post(path: &'static str, role: Role, operation: Operation) -> Route {
    Route { method: Method::POST, path, role, query: &[], operation }
}

/// All of them.
pub(crate) static ROUTES: &[Route] = &[
    get("/admin/v1/openapi.json", &[], Operation::Document),
    get("/admin/v1/status", &[], Operation::Status),
    get("/admin/v1/policies", &[], Operation::Policies),
    get("/admin/v1/generations", &[], Operation::Generations),
    post("/admin/v1/generations/rollback", Role::Operator, Operation::RollBack),
    post("/admin/v1/reload", Role::Operator, Operation::Reload),
    get("/admin/v1/candidate", &[], Operation::Candidate),
    post("/admin/v1/candidate/promote", Role::Operator, Operation::Promote),
    post("/admin/v1/candidate/discard", Role::Operator, Operation::Discard),
    get("/admin/v1/switches", &[], Operation::Switches),
    post("/admin/v1/switches", Role::Operator, Operation::Engage),
    post("/admin/v1/switches/lift", Role::Operator, Operation::Lift),
    get("/admin/v1/approvals", &["state"], Operation::Approvals),
    get("/admin/v1/approvals/{id}", &[], Operation::Approval),
    post("/admin/v1/approvals/{id}/approve", Role::Operator, Operation::Approve),
    post("/admin/v1/approvals/{id}/deny", Role::Operator, Operation::Deny),
    get("/admin/v1/budgets", &["budget", "accounts"], Operation::Budgets),
    post("/admin/v1/budgets/{name}/limit", Role::Admin, Operation::SetLimit),
    get("/admin/v1/reports/{report}", REPORT_QUERY, Operation::Report),
    get("/admin/v1/records", RECORD_FILTERS, Operation::Records),
    get("/admin/v1/audit", &["last"], Operation::Audit),
    Route {
        method: Method::GET,
        path: "/admin/v1/tokens",
        role: Role::Admin,
        query: &[],
        operation: Operation::Tokens,
    },
    post("/admin/v1/tokens", Role::Admin, Operation::CreateToken),
    Route {
        method: Method::DELETE,
        path: "/admin/v1/tokens/{name}",
        role: Role::Admin,
        query: &[],
        operation: Operation::RevokeToken,
    },
];

/// What a method and a path lead to.
#[derive(Debug)]
pub(crate) enum Found {
    /// To this route, with the segments that are parameters, as they were sent.
    Route(&'static Route, Vec<String>),
    /// To none by this method, but by these.
    OtherMethods(String),
    Nothing,
}

/// Finds the route of a request.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    let mut others = Vec::new();
    for route in ROUTES {
        match segments(route.path, path) {
            Some(parameters) if route.method == *method => return Found::Route(route, parameters),
            Some(_) => others.push(route.method.as_str()),
            None => {}
        }
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others.join(", ")) }
}

/// The segments of a path that a template leaves open; nothing where it is another path.
fn segments(template: &str, path: &str) -> Option<Vec<String>> {
    let mut parameters = Vec::new();
    let mut sent = path.split('/');
    for expected in template.split('/') {
        let segment = sent.next()?;
        if expected.starts_with('{') && !segment.is_empty() {
            parameters.push(segment.to_owned());
        } else if expected != segment {
            return None;
        }
    }
    sent.next().is_none().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn document() -> Value {
        serde_json::from_str(crate::admin::DOCUMENT).unwrap()
    }

    #[test]
    fn a_path_leads_to_its_route_or_says_what_does() {
        let found = |method: Method, path| match find(&method, path) {
            Found::Route(route, parameters) => format!("{:?} {}", route.operation, parameters.join(" ")),
            Found::OtherMethods(methods) => methods,
            Found::Nothing => "nothing".to_owned(),
        };
        assert_eq!(found(Method::GET, "/admin/v1/status"), "Status ");
        assert_eq!(found(Method::POST, "/admin/v1/budgets/team%20x/limit"), "SetLimit team%20x");
        assert_eq!(found(Method::PUT, "/admin/v1/switches"), "GET, POST");
        for path in ["/", "/admin/v1/status/", "/admin/v1/budgets//limit", "/admin/v1/nothing", "//admin/v1/status"] {
            assert_eq!(found(Method::GET, path), "nothing", "{path}");
        }
    }

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document = document();
        let mut told = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
                told.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        let routed: BTreeSet<String> = ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
        assert_eq!(told, routed);
    }

    #[test]
    fn the_document_says_who_may_and_what_a_query_may_have() {
        let document = document();
        for route in ROUTES {
            let item = &document["paths"][route.path];
            let operation = &item[route.method.as_str().to_lowercase()];
            assert_eq!(operation["x-tollgate-role"], route.role.as_str(), "{}", route.path);
            assert_eq!(operation["operationId"], format!("{:?}", route.operation), "{}", route.path);
            let own = [&operation["parameters"], &item["parameters"]];
            let parameters: Vec<&Value> = own.into_iter().filter_map(Value::as_array).flatten().collect();
            let names = |place: &str| -> BTreeSet<&str> {
                let placed = parameters.iter().filter(|parameter| parameter["in"] == place);
                placed.map(|parameter| parameter["name"].as_str().unwrap()).collect()
            };
            assert_eq!(names("query"), route.query.iter().copied().collect(), "{}", route.path);
            let open: BTreeSet<&str> =
                route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            assert_eq!(names("path"), open, "{}", route.path);
            let answers: BTreeSet<&str> =
                operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
            for always in ["401", "403"] {
                assert!(answers.contains(always), "{}: {always}", route.path);
            }
            let takes_body = route.method == Method::POST;
            assert_eq!(operation["requestBody"].is_object(), takes_body, "{}", route.path);
        }
    }
}
