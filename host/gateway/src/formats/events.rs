//! Server-sent events, cut out of a stream of bytes wherever it happens to be split. Only whole events come out, so whoever
//! stops between two of them leaves the reader with a well-formed stream.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

/// The largest event in bytes. A delta has a few hundred; a tool call that a server sends whole may have much more.
pub(crate) const MAX_EVENT_BYTES: usize = 4 << 20;

/// An event grew past [`MAX_EVENT_BYTES`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the upstream's stream has more than {MAX_EVENT_BYTES} bytes")]
pub(crate) struct EventTooLarge;

/// One event, with the blank line that ends it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) bytes: Bytes,
}

impl Event {
    /// What stands behind `data:`, lines joined as the format says.
    pub(crate) fn data(&self) -> Cow<'_, [u8]> {
        let lines = self.bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
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
}

/// The one space that may stand before a value.
fn without_space(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

/// Cuts events out of a stream.
#[derive(Debug, Default)]
pub(crate) struct Events {
    held: BytesMut,
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
        self.held.extend_from_slice(bytes);
    }

    /// The next whole event.
    pub(crate) fn next_event(&mut self) -> Result<Option<Event>, EventTooLarge> {
        while let Some(byte) = self.held.get(self.scanned).copied() {
            self.scanned += 1;
            let second_half = byte == b'\n' && std::mem::take(&mut self.after_return);
            match byte {
                // The line feed of a pair belongs to the line that its return has ended.
                b'\n' if second_half => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    if !std::mem::take(&mut self.in_line) {
                        return Ok(Some(self.cut()));
                    }
                }
                _ => (self.in_line, self.after_return) = (true, false),
            }
        }
        if self.held.len() > MAX_EVENT_BYTES { Err(EventTooLarge) } else { Ok(None) }
    }

    /// What is left when the stream has ended: an event without its blank line, which readers ignore.
    pub(crate) fn rest(&mut self) -> Bytes {
        std::mem::take(self).held.freeze()
    }

    fn cut(&mut self) -> Event {
        let bytes = self.held.split_to(self.scanned).freeze();
        self.scanned = 0;
        Event { bytes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(events: &mut Events) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| events.next_event().unwrap()).map(|event| event.data().into_owned()).collect()
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
                    found.push(String::from_utf8(event.data().into_owned()).unwrap());
                    bytes.extend_from_slice(&event.bytes);
                }
            }
            bytes.extend_from_slice(&events.rest());
            prop_assert_eq!(found, data);
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), text, "no byte is lost");
        }
    }
}
