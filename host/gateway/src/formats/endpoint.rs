//! The requests that are metered: where they arrive, where they go on to, and what sets them apart.

use tollgate_core::config::Api;

/// A kind of request that is metered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// OpenAI's chat completions, which many other servers answer as well.
    ChatCompletions,
    /// OpenAI's responses.
    Responses,
    /// OpenAI's embeddings.
    Embeddings,
    /// Anthropic's messages.
    Messages,
    /// Anthropic's token counting, which is not billed.
    CountTokens,
}

impl Endpoint {
    const ALL: [Self; 5] =
        [Self::ChatCompletions, Self::Responses, Self::Embeddings, Self::Messages, Self::CountTokens];

    /// The endpoint of a path, as callers write it.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| path.strip_prefix("/v1") == Some(endpoint.path()))
    }

    pub(crate) const fn api(self) -> Api {
        match self {
            Self::ChatCompletions | Self::Responses | Self::Embeddings => Api::Openai,
            Self::Messages | Self::CountTokens => Api::Anthropic,
        }
    }

    /// The path below the version.
    const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/chat/completions",
            Self::Responses => "/responses",
            Self::Embeddings => "/embeddings",
            Self::Messages => "/messages",
            Self::CountTokens => "/messages/count_tokens",
        }
    }

    /// Where it is at a backend: the base of OpenAI's SDKs has the version in it, that of Anthropic's has not.
    pub(crate) fn url(self, base: &str) -> String {
        below(base, self.api(), self.path())
    }

    /// Whether nothing is billed for it.
    pub(crate) const fn is_free(self) -> bool {
        matches!(self, Self::CountTokens)
    }

    /// Whether a model writes: only then is there an output to be capped, and a conversation whose model should stay the same.
    pub(crate) const fn writes(self) -> bool {
        matches!(self, Self::ChatCompletions | Self::Responses | Self::Messages)
    }
}

/// A path below the version, at a backend.
pub(crate) fn below(base: &str, api: Api, path: &str) -> String {
    match api {
        Api::Openai => format!("{base}{path}"),
        Api::Anthropic => format!("{base}/v1{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_like_at_a_backend() {
        for (path, base, url) in [
            ("/v1/chat/completions", "http://b/v1", "http://b/v1/chat/completions"),
            ("/v1/responses", "http://b/openai", "http://b/openai/responses"),
            ("/v1/embeddings", "http://b/v1", "http://b/v1/embeddings"),
            ("/v1/messages", "http://b", "http://b/v1/messages"),
            ("/v1/messages/count_tokens", "http://b", "http://b/v1/messages/count_tokens"),
        ] {
            assert_eq!(Endpoint::of_path(path).map(|endpoint| endpoint.url(base)).as_deref(), Some(url));
        }
        for path in ["/v1/responses/", "/v1/responses/r_1", "/responses", "/v1/messages/batches", "/V1/messages", "/"] {
            assert_eq!(Endpoint::of_path(path), None, "{path}");
        }
    }
}
