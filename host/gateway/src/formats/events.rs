//! Server-sent events, cut out of a stream of bytes wherever it happens to be split. Only whole events come out, so whoever
//! stops between two of them leaves the reader with a well-formed stream.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// The largest event in bytes. A delta has a few hundred; a tool call that a server sends whole may have much more.
pub(crate) const MAX_EVENT_BYTES: usize = 4 << 20;

/// Events mostly come some at a time.
const ROOM: usize = 4 << 10;

/// An event grew past [`MAX_EVENT_BYTES`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the upstream's stream has more than {MAX_EVENT_BYTES} bytes")]
pub(crate) struct EventTooLarge;

/// What stands behind `data:` in an event, lines joined as the format says.
pub(crate) fn data(event: &[u8]) -> Cow<'_, [u8]> {
    let lines = Lines(event);
    let mut data = lines.filter_map(|line| line.strip_prefix(b"data:"));
    let Some(first) = data.next().map(without_space) else {
        return Cow::Borrowed(&[]);
    };
    // Nearly every event has one line of it.
    data.map(without_space).fold(Cow::Borrowed(first), |data, line| {
        let mut data = data.into_owned();
        data.push(b'\n');
        data.extend_from_slice(line);
        Cow::Owned(data)
    })
}

/// What stands between ends of lines.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr2(b'\n', b'\r', self.0).unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        Some(line)
    }
}

/// The one space that may stand before a value.
fn without_space(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

/// Finds events in a stream, and gives them away as the bytes they came in.
#[derive(Debug, Default)]
pub(crate) struct Events {
    held: BytesMut,
    /// Where the event begins that is looked for.
    start: usize,
    /// How much of `held` was looked at.
    scanned: usize,
    /// The line being looked at has something in it.
    in_line: bool,
    /// The byte before was a carriage return, which may be half of a line's end.
    after_return: bool,
}

impl Events {
    /// Takes in bytes as they come.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.held.is_empty() {
            self.held.reserve(ROOM);
        }
        self.held.extend_from_slice(bytes);
    }

    /// Where the next whole event stands, with the blank line that ends it.
    pub(crate) fn next_event(&mut self) -> Result<Option<Range<usize>>, EventTooLarge> {
        while let Some(unseen) = self.held.get(self.scanned..).filter(|unseen| !unseen.is_empty()) {
            let Some(offset) = memchr2(b'\n', b'\r', unseen) else {
                (self.in_line, self.after_return, self.scanned) = (true, false, self.held.len());
                break;
            };
            if offset > 0 {
                (self.in_line, self.after_return) = (true, false);
            }
            let feed = unseen.get(offset) == Some(&b'\n');
            self.scanned += offset + 1;
            // The line feed of a pair belongs to the line that its return has ended.
            if feed && std::mem::take(&mut self.after_return) {
                continue;
            }
            self.after_return = !feed;
            if !std::mem::take(&mut self.in_line) {
                let event = self.start..self.scanned;
                self.start = self.scanned;
                return Ok(Some(event));
            }
        }
        if self.held.len() - self.start > MAX_EVENT_BYTES { Err(EventTooLarge) } else { Ok(None) }
    }

    /// The bytes of an event that was found, until they are taken.
    pub(crate) fn bytes(&self, event: Range<usize>) -> &[u8] {
        self.held.get(event).unwrap_or_default()
    }

    /// Gives away every event that was found.
    pub(crate) fn take_found(&mut self) -> Bytes {
        let found = self.held.split_to(self.start).freeze();
        self.scanned -= self.start;
        self.start = 0;
        found
    }

    /// What is left when the stream has ended: an event without its blank line, which readers ignore.
    pub(crate) fn rest(&mut self) -> Bytes {
        std::mem::take(self).held.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(events: &mut Events) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some(event) = events.next_event().unwrap() {
            found.push(data(events.bytes(event)).into_owned());
        }
        events.take_found();
        found
    }

    #[test]
    fn data_lines_are_joined_and_other_fields_are_left() {
        let mut events = Events::default();
        events.push(b"event: a\ndata: one\ndata:two\nid: 7\n\n: comment\n\ndata\n\n");
        assert_eq!(all(&mut events), [b"one\ntwo".to_vec(), Vec::new(), Vec::new()]);
    }

    #[test]
    fn half_an_event_stays_until_it_is_whole() {
        let mut events = Events::default();
        events.push(b"data: x\n\ndata: hal");
        assert_eq!(all(&mut events), [b"x".to_vec()]);
        events.push(b"f\n");
        assert_eq!(all(&mut events).len(), 0);
        assert_eq!(events.rest(), "data: half\n");
    }

    #[test]
    fn an_event_without_end_is_an_error() {
        let mut events = Events::default();
        events.push(b"data: ");
        events.push(&vec![b'x'; MAX_EVENT_BYTES]);
        assert_eq!(events.next_event(), Err(EventTooLarge));
    }

    proptest! {
        #[test]
        fn where_the_stream_is_split_changes_nothing(
            data in proptest::collection::vec("[a-z {}:]{0,12}", 0..8), end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
            cuts in proptest::collection::vec(0_usize..200, 0..12),
        ) {
            let text: String = data.iter().map(|data| format!("event: e{end}data: {data}{end}{end}")).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let (mut events, mut found, mut bytes) = (Events::default(), Vec::new(), Vec::new());
            for pair in cuts.windows(2) {
                events.push(&text.as_bytes()[pair[0]..pair[1]]);
                while let Some(event) = events.next_event().unwrap() {
                    found.push(String::from_utf8(super::data(events.bytes(event)).into_owned()).unwrap());
                }
                bytes.extend_from_slice(&events.take_found());
            }
            bytes.extend_from_slice(&events.rest());
            prop_assert_eq!(found, data);
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), text, "no byte is lost");
        }
    }
}
