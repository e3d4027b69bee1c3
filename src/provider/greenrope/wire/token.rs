//! How far one piece of a document reaches, told from its bytes as they pass, so that the rest of one
//! that is too long can be skipped without being held.

/// What a piece is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// Text up to the next tag, references included.
    #[default]
    Text,
    /// A tag that begins or ends an element.
    Tag,
    /// A CDATA section.
    Section,
    Comment,
    Instruction,
}

/// One piece as far as it was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Token {
    kind: Kind,
    /// The first bytes, which tell the kind, and how many of them were seen.
    first: [u8; 3],
    seen: usize,
    last: [u8; 2],
    /// The quote that has begun and not ended. It means something in a tag only.
    quote: Option<u8>,
}

impl Token {
    /// Takes the next byte, and tells whether the piece ends with it; a text, before it.
    pub(super) fn ends_at(&mut self, byte: u8) -> bool {
        if self.seen < self.first.len() {
            self.first[self.seen] = byte;
            self.seen += 1;
            self.kind = match &self.first[..self.seen] {
                b"<![" => Kind::Section,
                b"<!-" => Kind::Comment,
                [b'<', b'?', ..] => Kind::Instruction,
                [b'<', ..] => Kind::Tag,
                _ => Kind::Text,
            };
        }
        let ends = match self.kind {
            Kind::Text => byte == b'<',
            Kind::Tag => byte == b'>' && self.quote.is_none(),
            Kind::Section => byte == b'>' && self.last == *b"]]",
            Kind::Comment => byte == b'>' && self.last == *b"--",
            Kind::Instruction => byte == b'>' && self.last[1] == b'?',
        };
        match self.quote {
            Some(quote) if quote == byte => self.quote = None,
            None if matches!(byte, b'"' | b'\'') => self.quote = Some(byte),
            _ => {}
        }
        self.last = [self.last[1], byte];
        ends
    }

    /// Takes bytes that have been passed on and did not end the piece.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.ends_at(*byte);
        }
    }

    /// Returns what ends a piece whose end was met and that was passed on up to where `begun` had
    /// seen it.
    pub(super) fn closing(&self, begun: &Token) -> Vec<u8> {
        match self.kind {
            Kind::Text => Vec::new(),
            Kind::Section => b"]]>".to_vec(),
            // What was passed on may end with a hyphen, and two in a row are an error before the end.
            Kind::Comment => b" -->".to_vec(),
            Kind::Instruction => b"?>".to_vec(),
            Kind::Tag => {
                let is_empty = self.last[0] == b'/';
                let end: &[u8] = if is_empty { b"/>" } else { b">" };
                begun.quote.into_iter().chain(end.iter().copied()).collect()
            }
        }
    }

    /// Tells whether the byte at which a piece ended belongs to what follows it.
    pub(super) fn ends_before(&self) -> bool {
        self.kind == Kind::Text
    }
}
