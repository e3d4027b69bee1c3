//! A small tree of elements whose parts lie in a row, so that the next item takes the room of the one
//! before it: answers have dozens of elements for each of their contacts.

use std::ops::Range;

/// The most bytes that each part may hold that is kept of an item that is too much.
const MAX_KEPT: usize = 64 * 1024;

/// What is kept of an item that is too much, by name: what tells which one it is, and what decides
/// about it.
const KEPT: [&str; 12] = [
    "contact_id",
    "contactid",
    "id",
    "email",
    "unsubscribed",
    "groups",
    "group_id",
    "groupid",
    "name",
    "accountnumber",
    "userfieldid",
    "fieldname",
];

/// Stands for all that an element held that is given up.
pub(super) const CUT: &str = "\u{fffd}";

/// Where a text stands in the texts of a tree.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    from: usize,
    to: usize,
}

#[derive(Debug)]
struct Node {
    name: Span,
    text: Span,
    /// The first of its attributes, and the one behind the last.
    attributes: Span,
    /// The node behind the last one inside; as long as the element is open, beyond all of them.
    end: usize,
    guessed: bool,
    cut: bool,
}

/// What one more element counts for, apart from its texts, in bytes: what it takes with the room that
/// grows in advance.
pub(super) const ELEMENT: usize = 104;

/// An element with everything in it. The elements stand in the order in which they begin, and so do
/// their texts, so that the last one can be taken back with all that is inside.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    attributes: Vec<(Span, Span)>,
    texts: String,
}

impl Tree {
    /// Forgets all of it and keeps the room.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.attributes.clear();
        self.texts.clear();
    }

    /// Returns the outermost element, which must have begun.
    pub(super) fn root(&self) -> Element<'_> {
        Element { tree: self, at: 0 }
    }

    /// Begins an element inside the last one that is open, and returns its place.
    pub(super) fn begin(&mut self, name: &str, cut: bool) -> usize {
        let name = self.put_name(name);
        let attributes = Span {
            from: self.attributes.len(),
            to: self.attributes.len(),
        };
        self.nodes.push(Node {
            name,
            text: Span::default(),
            attributes,
            end: usize::MAX,
            guessed: false,
            cut,
        });
        self.nodes.len() - 1
    }

    /// Adds an attribute to the element that began last.
    pub(super) fn attribute(&mut self, name: &str, value: &str) {
        let attribute = (self.put_name(name), self.put(value));
        self.attributes.push(attribute);
        if let Some(node) = self.nodes.last_mut() {
            node.attributes.to = self.attributes.len();
        }
    }

    /// Closes the last element that is open.
    pub(super) fn end(&mut self, at: usize, text: &str) {
        let text = self.put(text);
        let end = self.nodes.len();
        let node = &mut self.nodes[at];
        (node.text, node.end) = (text, end);
    }

    /// Returns the text of a closed element; nothing when it is blank.
    pub(super) fn content_of(&self, at: usize) -> Option<&str> {
        Element { tree: self, at }.content()
    }

    /// Takes back the last element with all that is inside.
    pub(super) fn take_back(&mut self, at: usize) {
        let node = &self.nodes[at];
        self.texts.truncate(node.name.from);
        self.attributes.truncate(node.attributes.from);
        self.nodes.truncate(at);
    }

    /// Marks an element as one of which some can't be read.
    pub(super) fn guess(&mut self, at: usize) {
        self.nodes[at].guessed = true;
    }

    /// Tells whether next to nothing of what is inside an element is kept.
    pub(super) fn is_cut(&self, at: usize) -> bool {
        self.nodes[at].cut
    }

    /// Takes the last element into an item that is too much, if it is one that is kept, and the
    /// first.
    pub(super) fn keep(&mut self, at: usize) {
        if !self.is_kept(at) {
            self.take_back(at);
        } else if self.weight(at..self.nodes.len()) > MAX_KEPT {
            self.cut_last(at);
        }
    }

    fn is_kept(&self, at: usize) -> bool {
        let child = Element { tree: self, at };
        let name = child.name();
        let is_blank = child.content().is_none() && child.children().next().is_none();
        let mut before = self.root().children().take_while(|other| other.at < at);
        !is_blank && KEPT.contains(&name) && !before.any(|other| other.name() == name)
    }

    /// Gives up most of an item that is open. What is kept is what tells which it is, of its closed
    /// parts, and those that are `open` inside, outermost first, with their `texts` of so many bytes,
    /// unless they are too much as well or given up `whole`. Returns their new places, and whether
    /// they were given up.
    pub(super) fn cut_open(
        &mut self,
        open: &[usize],
        texts: usize,
        whole: bool,
    ) -> (Vec<usize>, bool) {
        let before = std::mem::take(self);
        let begun = open.first().copied().unwrap_or(before.nodes.len());
        self.copy(&before, 0..1);
        (self.nodes[0].guessed, self.nodes[0].cut) = (true, true);
        let parts = before.root().children();
        for part in parts.take_while(|part| part.at < begun) {
            let at = self.nodes.len();
            self.copy(&before, part.at..part.end());
            self.keep(at);
        }
        let inside = begun..before.nodes.len();
        let given_up = whole || before.weight(inside.clone()) + texts > MAX_KEPT;
        let moved = self.nodes.len();
        if !given_up {
            self.copy(&before, inside);
            return (open.iter().map(|at| at - begun + moved).collect(), false);
        }
        for at in open {
            let at = self.begin(before.text(before.nodes[*at].name), true);
            self.guess(at);
        }
        ((moved..self.nodes.len()).collect(), true)
    }

    fn cut_last(&mut self, at: usize) {
        let node = &self.nodes[at];
        self.texts.truncate(node.name.to);
        self.attributes.truncate(node.attributes.from);
        self.nodes.truncate(at + 1);
        let text = self.put(CUT);
        let node = &mut self.nodes[at];
        (node.text, node.end) = (text, at + 1);
        node.attributes.to = node.attributes.from;
        (node.guessed, node.cut) = (true, true);
    }

    /// Adds the elements of another tree.
    fn copy(&mut self, other: &Tree, nodes: Range<usize>) {
        for at in nodes.clone() {
            let node = &other.nodes[at];
            let copied = self.begin(other.text(node.name), node.cut);
            for (name, value) in &other.attributes[node.attributes.from..node.attributes.to] {
                self.attribute(other.text(*name), other.text(*value));
            }
            let text = self.put(other.text(node.text));
            let copy = &mut self.nodes[copied];
            (copy.text, copy.guessed) = (text, node.guessed);
            if node.end != usize::MAX {
                copy.end = copied + node.end - at;
            }
        }
    }

    fn weight(&self, nodes: Range<usize>) -> usize {
        let weight = |node: &Node| {
            let attributes = &self.attributes[node.attributes.from..node.attributes.to];
            let attributes: usize = attributes.iter().map(|(n, v)| n.len() + v.len()).sum();
            ELEMENT + node.name.len() + node.text.len() + attributes
        };
        self.nodes[nodes].iter().map(weight).sum()
    }

    fn text(&self, span: Span) -> &str {
        &self.texts[span.from..span.to]
    }

    fn put(&mut self, text: &str) -> Span {
        let from = self.texts.len();
        self.texts.push_str(text);
        Span {
            from,
            to: self.texts.len(),
        }
    }

    fn put_name(&mut self, name: &str) -> Span {
        if name.is_ascii() {
            let span = self.put(name);
            self.texts[span.from..].make_ascii_lowercase();
            span
        } else {
            self.put(&name.to_lowercase())
        }
    }
}

impl Span {
    fn len(self) -> usize {
        self.to - self.from
    }
}

/// An element of a tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    tree: &'a Tree,
    at: usize,
}

impl<'a> Element<'a> {
    fn node(self) -> &'a Node {
        &self.tree.nodes[self.at]
    }

    fn end(self) -> usize {
        self.node().end.min(self.tree.nodes.len())
    }

    /// Returns the name in lower case.
    pub(super) fn name(self) -> &'a str {
        self.tree.text(self.node().name)
    }

    /// Goes through the elements inside, in their order.
    pub(super) fn children(self) -> impl Iterator<Item = Element<'a>> {
        let (tree, end) = (self.tree, self.end());
        let mut next = self.at + 1;
        std::iter::from_fn(move || {
            let child = (next < end).then_some(Element { tree, at: next })?;
            next = child.end();
            Some(child)
        })
    }

    /// Returns the text of the first child of a name, untrimmed; nothing when it is missing or
    /// blank.
    pub(super) fn value(self, name: &str) -> Option<&'a str> {
        self.children()
            .filter(|child| child.name() == name)
            .find_map(Element::content)
    }

    /// Returns the trimmed text of the first child that has one of several names.
    pub(super) fn any(self, names: &[&str]) -> Option<&'a str> {
        names
            .iter()
            .find_map(|name| self.value(name))
            .map(str::trim)
    }

    /// Tells whether some of its text or of its tag can't be read, or is too long to be.
    pub(super) fn is_guessed(self) -> bool {
        self.node().guessed
    }

    /// Tells whether it holds too much, so that next to nothing of what is inside was kept.
    pub(super) fn is_cut(self) -> bool {
        self.node().cut
    }

    /// Tells whether nothing in it was guessed.
    pub(super) fn is_sound(self) -> bool {
        let nodes = &self.tree.nodes[self.at..self.end()];
        !nodes.iter().any(|node| node.guessed)
    }

    /// Tells whether a child of one of several names, given in lower case, had text that can't be read.
    pub(super) fn has_guessed(self, names: &[&str]) -> bool {
        self.children()
            .any(|child| child.is_guessed() && names.contains(&child.name()))
    }

    /// Returns the trimmed value of an attribute, given in lower case; nothing when it is missing
    /// or blank.
    pub(super) fn attribute(self, name: &str) -> Option<&'a str> {
        let attributes = self.node().attributes;
        self.tree.attributes[attributes.from..attributes.to]
            .iter()
            .find(|(key, _)| self.tree.text(*key) == name)
            .map(|(_, value)| self.tree.text(*value).trim())
            .filter(|value| !value.is_empty())
    }

    /// Returns the element's own text, untrimmed; nothing when it is blank.
    pub(super) fn content(self) -> Option<&'a str> {
        let text = self.tree.text(self.node().text);
        // Nearly every text begins with what is no blank.
        let begins = text.as_bytes().first().is_some_and(u8::is_ascii_graphic);
        (begins || !text.trim().is_empty()).then_some(text)
    }
}
