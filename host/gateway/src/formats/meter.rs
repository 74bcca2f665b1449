//! Counts what a stream uses while it passes, event by event.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde::de::IgnoredAny;
use smallvec::SmallVec;
use tollgate_core::Usage;
use tollgate_ledger::prices::ServiceTier;

use super::document::Members;
use super::endpoint::Endpoint;
use super::events::{EventTooLarge, Events, data};
use super::text::{TextBytes, Word};
use super::usage::PartialUsage;

/// A token of output is at most so many bytes on average; English text has about four, code fewer.
const BYTES_PER_OUTPUT_TOKEN: u64 = 3;

/// And at most so many in any text, but for runs of blanks.
const MOST_BYTES_PER_OUTPUT_TOKEN: u64 = 16;

/// Whether the client sees the chunk with the usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsageChunk {
    /// It asked for it, or the format always has it.
    Shown,
    /// Only the gateway asked for it.
    Hidden,
}

/// Reads one stream.
#[derive(Debug)]
pub(crate) struct Meter {
    endpoint: Endpoint,
    usage_chunk: UsageChunk,
    events: Events,
    /// Events that were found and do not go on to the client.
    hidden: Vec<Range<usize>>,
    usage: PartialUsage,
    deltas: u64,
    delta_bytes: u64,
    /// A choice has come to its end.
    stopped: bool,
    /// The last chunk told the usage so far.
    told_last: bool,
    finished: bool,
    /// The event came that ends every stream of its format.
    over: bool,
    ends_in_return: bool,
    /// The number of the next event, in a format that counts them.
    next_number: u64,
}

/// What a stream turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Metered {
    /// Exact; nothing where the stream ended before it was told.
    pub(crate) usage: Option<Usage>,
    /// The input, where that much was told.
    pub(crate) input: Option<Usage>,
    /// Output as counted on the way, in tokens, for a stream that never told.
    pub(crate) counted_output: u64,
    pub(crate) tier: ServiceTier,
    /// The provider ended it as its format says a stream ends.
    pub(crate) finished: bool,
}

impl Meter {
    pub(crate) fn new(endpoint: Endpoint, usage_chunk: UsageChunk) -> Self {
        Self {
            endpoint,
            usage_chunk,
            events: Events::default(),
            hidden: Vec::new(),
            usage: PartialUsage::default(),
            deltas: 0,
            delta_bytes: 0,
            stopped: false,
            told_last: false,
            finished: false,
            over: false,
            ends_in_return: false,
            next_number: 0,
        }
    }

    /// Takes in bytes of the upstream. Behind the event that ends the stream there is nothing, whatever comes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), EventTooLarge> {
        if self.over {
            return Ok(());
        }
        let mut events = std::mem::take(&mut self.events);
        events.push(bytes);
        let found = self.take_events(&mut events);
        self.events = events;
        found
    }

    fn take_events(&mut self, events: &mut Events) -> Result<(), EventTooLarge> {
        while !self.over
            && let Some(event) = events.next_event()?
        {
            if self.take(&data(events.bytes(event.clone()))) == UsageChunk::Hidden {
                self.hidden.push(event);
            }
        }
        Ok(())
    }

    /// Gives the whole events that came since it was last asked, and that go on to the client.
    pub(crate) fn shown(&mut self) -> Bytes {
        let shown = without(self.events.take_found(), &self.hidden);
        self.hidden.clear();
        if let Some(last) = shown.last() {
            self.ends_in_return = *last == b'\r';
        }
        shown
    }

    /// What the upstream left over when it closed the stream; nothing where that was over.
    pub(crate) fn rest(&mut self) -> Bytes {
        if self.over { Bytes::new() } else { self.events.rest() }
    }

    /// What has to stand behind what was shown, so that an end or an event of our own can follow: some readers do not take a lone
    /// return for a line's end, and the feed that belongs to it was held back.
    pub(crate) const fn separator(&self) -> &'static str {
        if self.ends_in_return { "\n" } else { "" }
    }

    /// The number that an event of our own would have.
    pub(crate) const fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Whether nothing comes any more, by its format, however long the provider keeps the answer open.
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// The output so far in tokens, at least: each piece of text is one or more, a long one is many, and a provider may have told of more.
    pub(crate) fn at_least(&self) -> u64 {
        let pieces = self.deltas.max(self.delta_bytes / MOST_BYTES_PER_OUTPUT_TOKEN);
        pieces.max(self.usage.output_so_far())
    }

    pub(crate) fn metered(&self) -> Metered {
        Metered {
            usage: if self.finished { self.usage.whole(self.endpoint) } else { None },
            input: self.usage.input(self.endpoint),
            counted_output: self.at_least().max(self.delta_bytes.div_ceil(BYTES_PER_OUTPUT_TOKEN)),
            tier: self.usage.tier(),
            finished: self.finished,
        }
    }

    fn take(&mut self, data: &[u8]) -> UsageChunk {
        if data == b"[DONE]" {
            self.over = true;
            // What was told so far is the whole of it if nothing came behind it.
            self.finished |= self.told_last;
            return UsageChunk::Shown;
        }
        if self.endpoint == Endpoint::ChatCompletions {
            return Chunk::of(data).map_or(UsageChunk::Shown, |chunk| self.take_chunk(&chunk));
        }
        let Some(event) = Members::of(data) else {
            return UsageChunk::Shown;
        };
        match self.endpoint {
            Endpoint::Responses => self.take_responses(&event),
            Endpoint::Messages => self.take_messages(&event),
            // They do not stream, or were read above.
            Endpoint::Embeddings | Endpoint::CountTokens | Endpoint::ChatCompletions => {}
        }
        UsageChunk::Shown
    }

    /// The usage comes in one extra chunk without choices, which may never come; the answer is whole without it.
    fn take_chunk(&mut self, chunk: &Chunk<'_>) -> UsageChunk {
        self.usage.note_tier(chunk.service_tier.as_ref());
        for Choice { delta, finish_reason } in chunk.choices.iter().flatten() {
            self.count_text(*delta);
            self.stopped |= finish_reason.is_some();
        }
        self.told_last = chunk.usage.is_some();
        let Some(usage) = &chunk.usage else {
            return UsageChunk::Shown;
        };
        self.usage.update(self.endpoint, usage);
        let only_usage = chunk.choices.as_ref().is_some_and(|choices| choices.is_empty());
        // Some servers tell the usage so far with every chunk; that is not the whole of it.
        self.finished = only_usage || self.stopped;
        if only_usage { self.usage_chunk } else { UsageChunk::Shown }
    }

    /// Each kind of text has a kind of event of its own; the usage comes with the last one, however the answer ended.
    fn take_responses(&mut self, event: &Members<'_>) {
        if let Some(number) = event.read::<u64>("sequence_number") {
            self.next_number = number.saturating_add(1);
        }
        let kind: Cow<'_, str> = event.read::<Word<'_>>("type").unwrap_or_default().0;
        if kind.ends_with(".delta") {
            self.count(event);
        }
        let last = matches!(&*kind, "response.completed" | "response.incomplete" | "response.failed");
        self.over |= last;
        let Some(response) = event.read::<Members<'_>>("response").filter(|_| last) else { return };
        self.usage.note_tier(response.read::<Word<'_>>("service_tier").as_ref());
        if let Some(usage) = response.read::<Members<'_>>("usage") {
            self.usage.update(self.endpoint, &usage);
            self.finished = true;
        }
    }

    /// The input comes with the first event, the output with the last but one, cumulative.
    fn take_messages(&mut self, event: &Members<'_>) {
        let usage = event.read::<Members<'_>>("usage").or_else(|| event.read::<Members<'_>>("message")?.read("usage"));
        if let Some(usage) = &usage {
            self.usage.update(self.endpoint, usage);
        }
        match &*event.read::<Word<'_>>("type").unwrap_or_default().0 {
            "content_block_delta" => self.count(event),
            // The last word on the output: what follows says only that the message has ended.
            "message_delta" => self.finished = usage.is_some(),
            "message_stop" => self.over = true,
            _ => {}
        }
    }

    /// Counts the text of a `delta`, whatever it is called in there: answers, reasoning, arguments of tools.
    fn count(&mut self, of: &Members<'_>) {
        self.count_text(of.read("delta").unwrap_or_default());
    }

    fn count_text(&mut self, TextBytes(bytes): TextBytes) {
        self.delta_bytes += bytes;
        self.deltas += u64::from(bytes > 0);
    }
}

/// What is read of a chunk of a chat.
#[derive(Deserialize)]
struct Chunk<'a> {
    /// Nearly always one.
    choices: Option<SmallVec<[Choice; 1]>>,
    #[serde(borrow)]
    usage: Option<Members<'a>>,
    #[serde(borrow)]
    service_tier: Option<Word<'a>>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: TextBytes,
    finish_reason: Option<IgnoredAny>,
}

impl<'a> Chunk<'a> {
    /// In one go, or, where a member is not what it should be, one by one without that.
    fn of(data: &'a [u8]) -> Option<Self> {
        // Looked at once as text, and not name by name.
        let text = std::str::from_utf8(data).ok()?;
        serde_json::from_str(text).ok().or_else(|| {
            let members = Members::of(data)?;
            let (choices, usage) = (members.read("choices"), members.read("usage"));
            Some(Self { choices, usage, service_tier: members.read("service_tier") })
        })
    }
}

/// Bytes without some parts, which are given in their order: the same bytes where there are none.
fn without(bytes: Bytes, parts: &[Range<usize>]) -> Bytes {
    if parts.is_empty() {
        return bytes;
    }
    let mut kept = BytesMut::with_capacity(bytes.len());
    let mut from = 0;
    for part in parts {
        kept.extend_from_slice(bytes.get(from..part.start).unwrap_or_default());
        from = part.end;
    }
    kept.extend_from_slice(bytes.get(from..).unwrap_or_default());
    kept.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENAI: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}],\"usage\":null}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n\
        data: [DONE]\n\n";
    const ANTHROPIC: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"cache_read_input_tokens\":7,\"output_tokens\":1}}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    /// Feeds a stream in pieces of every size, and gives what the client saw and what was metered.
    fn read(endpoint: Endpoint, usage_chunk: UsageChunk, stream: &str, piece: usize) -> (String, Metered) {
        let mut meter = Meter::new(endpoint, usage_chunk);
        let mut shown = String::new();
        for bytes in stream.as_bytes().chunks(piece) {
            meter.feed(bytes).unwrap();
            shown.push_str(std::str::from_utf8(&meter.shown()).unwrap());
        }
        (shown, meter.metered())
    }

    #[test]
    fn a_usage_chunk_that_only_the_gateway_asked_for_is_not_shown() {
        for piece in 1..OPENAI.len() {
            let (shown, metered) = read(Endpoint::ChatCompletions, UsageChunk::Hidden, OPENAI, piece);
            assert_eq!(
                shown,
                OPENAI
                    .replace("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n", "")
            );
            assert_eq!(metered.usage, Some(Usage { uncached_input: 9, output: 2, ..Usage::default() }));
        }
        assert_eq!(read(Endpoint::ChatCompletions, UsageChunk::Shown, OPENAI, 7).0, OPENAI);
    }

    #[test]
    fn behind_the_end_there_is_nothing_however_it_comes() {
        let more = format!(
            "{OPENAI}data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":1}}}}\n\ndata: x"
        );
        let whole = read(Endpoint::ChatCompletions, UsageChunk::Shown, OPENAI, OPENAI.len());
        for piece in [1, 40, more.len()] {
            let mut meter = Meter::new(Endpoint::ChatCompletions, UsageChunk::Shown);
            more.as_bytes().chunks(piece).for_each(|bytes| meter.feed(bytes).unwrap());
            assert_eq!((meter.shown(), meter.rest(), meter.is_over()), (whole.0.clone().into(), Bytes::new(), true));
            assert_eq!(meter.metered(), whole.1);
        }
    }

    #[test]
    fn what_comes_together_goes_on_together() {
        let mut meter = Meter::new(Endpoint::ChatCompletions, UsageChunk::Hidden);
        for piece in OPENAI.as_bytes().chunks(40) {
            meter.feed(piece).unwrap();
        }
        let (shown, _) = read(Endpoint::ChatCompletions, UsageChunk::Hidden, OPENAI, 40);
        assert_eq!((meter.shown(), meter.shown()), (Bytes::from(shown), Bytes::new()));
    }

    #[test]
    fn the_last_of_cumulative_counts_is_the_right_one() {
        let (shown, metered) = read(Endpoint::Messages, UsageChunk::Shown, ANTHROPIC, 11);
        assert_eq!(shown, ANTHROPIC);
        let usage = Usage { uncached_input: 25, cache_read: 7, output: 15, ..Usage::default() };
        assert_eq!((metered.usage, metered.finished), (Some(usage), true));
    }

    #[test]
    fn a_stream_without_its_last_chunk_has_no_usage_but_counts() {
        let (_, metered) = read(
            Endpoint::ChatCompletions,
            UsageChunk::Hidden,
            &OPENAI[..OPENAI.find("data: {\"choices\":[],").unwrap()],
            5,
        );
        assert_eq!((metered.usage, metered.input, metered.counted_output), (None, None, 2));
        let (_, metered) = read(
            Endpoint::Messages,
            UsageChunk::Shown,
            &ANTHROPIC[..ANTHROPIC.find("event: message_delta").unwrap()],
            5,
        );
        assert_eq!(metered.usage, None, "the output told at the start is not what came");
        let input = Usage { uncached_input: 25, cache_read: 7, ..Usage::default() };
        assert_eq!((metered.input, metered.counted_output), (Some(input), 2));
    }

    #[test]
    fn usage_so_far_is_not_the_whole_of_it() {
        let chunk = |content: &str, stop: &str, output: u64| {
            format!(
                "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{content}\"}},\"finish_reason\":{stop}}}],\"usage\":{{\"prompt_tokens\":4,\"completion_tokens\":{output}}}}}\n\n"
            )
        };
        let (_, cut) = read(Endpoint::ChatCompletions, UsageChunk::Hidden, &chunk("a", "null", 1), 5);
        assert_eq!((cut.usage, cut.input.map(|input| input.uncached_input)), (None, Some(4)));
        let (_, whole) = read(
            Endpoint::ChatCompletions,
            UsageChunk::Hidden,
            &(chunk("a", "null", 1) + &chunk("b", "\"stop\"", 2)),
            5,
        );
        assert_eq!(whole.usage.map(|usage| usage.output), Some(2));
        // Nobody says why it ended, and the last chunk tells all: reasoning that is not shown, too.
        let told = chunk("a", "null", 1) + &chunk("b", "null", 180);
        let (_, broken) = read(Endpoint::ChatCompletions, UsageChunk::Hidden, &told, 5);
        assert_eq!((broken.usage, broken.counted_output), (None, 180), "what was told is not forgotten");
        let (_, over) = read(Endpoint::ChatCompletions, UsageChunk::Hidden, &(told + "data: [DONE]\n\n"), 5);
        assert_eq!(over.usage.map(|usage| usage.output), Some(180));
    }

    #[test]
    fn what_is_strange_in_a_chunk_does_not_hide_the_rest() {
        for strange in [r#""service_tier":7"#, r#""choices":"none""#, r#""usage":null"#, r#""id":1,"id":2"#] {
            let usage = r#""choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}"#;
            let stream = format!("data: {{{strange},{usage}}}\n\n");
            let (_, metered) = read(Endpoint::ChatCompletions, UsageChunk::Shown, &stream, 9);
            assert_eq!(metered.usage.map(|usage| usage.output), Some(2), "{strange}");
        }
    }

    #[test]
    fn a_long_piece_is_many_tokens_before_anything_is_told() {
        let mut meter = Meter::new(Endpoint::ChatCompletions, UsageChunk::Shown);
        for (text, least) in [("Hi", 1), (&*"x".repeat(16_000), 1_000)] {
            let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
            meter.feed(event.as_bytes()).unwrap();
            assert_eq!(meter.at_least(), least);
        }
    }

    #[test]
    fn an_event_of_our_own_stands_apart_from_a_return() {
        let mut meter = Meter::new(Endpoint::ChatCompletions, UsageChunk::Shown);
        meter.feed(b"data: {}\r\n\r\n").unwrap();
        meter.shown();
        assert_eq!(meter.separator(), "\n");
        meter.feed(b"data: {}\n\n").unwrap();
        meter.shown();
        assert_eq!(meter.separator(), "");
    }
}
