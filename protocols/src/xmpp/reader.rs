//! Cuts a stream of XML into its header and its top-level elements.
//!
//! The tokens are rxml's, which refuses DTDs, processing instructions, comments, foreign entities and octets that are no
//! UTF-8; namespaces, duplicate attributes and every limit are checked here, token by token, so that nothing unbounded is
//! kept: rxml itself takes any depth and any number of attributes. What comes octet by octet reads as what comes whole.
//! A top-level element that breaks a limit is passed over, and the stream goes on: it is one user's, the stream is
//! everybody's. What is no XML of XMPP ends the stream.

use bytes::{Buf, BytesMut};
use minidom::Element;
use rxml::error::EndOrError;
use rxml::parser::RawQName;
use rxml::{Error, Namespace, NcName, Options, Parse, RawEvent, RawParser, WithOptions};

use super::fault::XmppFault;
use super::limits::{
    ATTRIBUTES_MAX, DECLARATION_OCTETS_MAX, DEPTH_MAX, LAN_STANZA_OCTETS_MAX, NAME_OCTETS_MAX, NAMESPACE_OCTETS_MAX,
    NAMESPACES_IN_FORCE_MAX, READER_INPUT_OCTETS_MAX, ReaderLimits, VALUE_OCTETS_MAX,
};
use super::ns;

/// What a stream header says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Who speaks.
    pub from: Option<String>,
    /// Who is spoken to.
    pub to: Option<String>,
    /// The stream's id.
    pub id: Option<String>,
    /// The version, as written.
    pub version: Option<String>,
    /// `xml:lang`.
    pub lang: Option<String>,
    /// The default namespace.
    pub namespace: String,
    /// The declared prefixes with their namespaces, in the order written.
    pub prefixes: Vec<(String, String)>,
}

/// What a stream is made of.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// The stream header.
    Header(Header),
    /// A whole top-level element: a stanza or anything else.
    Element(Element),
    /// A top-level element that broke a limit and was passed over.
    Skipped(Skipped),
    /// The end of the stream.
    End,
}

/// An element that was passed over.
#[derive(Clone, PartialEq, Debug)]
pub struct Skipped {
    /// The element without what it holds, as far as its start could be read: enough to know a stanza, and to answer it.
    pub head: Option<Element>,
    /// The limit that it broke.
    pub fault: XmppFault,
}

/// Octets that stand for the header of a stream that has none.
//= xmpp/LINK-001
const HEADLESS: &[u8] = b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";

/// A start tag being read.
#[derive(Debug)]
struct Tag {
    name: RawQName,
    attributes: Vec<(RawQName, String)>,
    /// How many declarations were in force before it.
    declared_before: usize,
}

/// Where the octets in front of a headless stream stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Front {
    /// White space or an XML declaration may come, which only the front of a document may hold.
    Headless,
    /// White space may come: what a peer sends to show that it is alive may fall between two streams.
    Blank,
    /// Past that.
    Done,
}

/// A namespace declaration in force: the prefix (none for the default) and the name.
type Declaration = (Option<NcName>, Namespace<'static>);

/// Reads one stream. See the module.
pub struct StreamReader {
    limits: ReaderLimits,
    parser: RawParser,
    input: BytesMut,
    front: Front,
    /// Whether the stream header was read.
    begun: bool,
    ended: bool,
    fault: Option<XmppFault>,
    tag: Option<Tag>,
    declared: Vec<Declaration>,
    /// Open elements inside the stream, each with the number of declarations before it.
    open: Vec<(Element, usize)>,
    /// Open elements, the stream itself included.
    depth: usize,
    /// What is being passed over, and the number of declarations before it.
    skipping: Option<(Skipped, usize)>,
    octets: usize,
    elements: usize,
}

impl std::fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamReader")
            .field("begun", &self.begun)
            .field("ended", &self.ended)
            .field("fault", &self.fault)
            .field("octets", &self.octets)
            .finish_non_exhaustive()
    }
}

impl StreamReader {
    /// Expects a stream header.
    pub fn new(limits: ReaderLimits) -> Self {
        Self::with_tokens(limits, LAN_STANZA_OCTETS_MAX)
    }

    /// A token may be as long as what is passed over: the parser cannot go on after one that is too long for it. It keeps
    /// one at a time.
    fn with_tokens(limits: ReaderLimits, octets_max: usize) -> Self {
        let options = Options { max_token_length: octets_max, ..Options::default() };
        let mut parser = <RawParser as WithOptions>::with_options(options);
        // White space between stanzas must not wait inside the parser.
        parser.set_text_buffering(false);
        Self {
            limits,
            parser,
            input: BytesMut::new(),
            front: Front::Blank,
            begun: false,
            ended: false,
            fault: None,
            tag: None,
            declared: Vec::new(),
            open: Vec::new(),
            depth: 0,
            skipping: None,
            octets: 0,
            elements: 0,
        }
    }

    /// Reads as if the header of a stream between servers had been read (XEP-0361). White space and an XML declaration in
    /// front are passed over.
    pub fn headless(limits: ReaderLimits) -> Self {
        let mut reader = Self::with_tokens(limits, limits.stanza_octets);
        reader.input.extend_from_slice(HEADLESS);
        if let Err(fault) = reader.read_item() {
            reader.fault = Some(fault);
        }
        reader.front = Front::Headless;
        reader
    }

    /// Takes other limits from the next top-level element on: a peer that is authenticated may say more.
    pub fn set_limits(&mut self, limits: ReaderLimits) {
        self.limits = limits;
    }

    /// Takes octets. Call [`Self::next`] until it yields nothing before giving more.
    pub fn read(&mut self, octets: &[u8]) {
        if self.fault.is_some() || self.ended {
            return;
        }
        if self.input.len() + octets.len() > READER_INPUT_OCTETS_MAX {
            self.fault = Some(XmppFault::TooLarge { limit: READER_INPUT_OCTETS_MAX });
            return;
        }
        self.input.extend_from_slice(octets);
    }

    /// The next item; `None` needs more octets. After [`Item::End`] there is nothing more.
    ///
    /// # Errors
    /// The stream is broken; the fault stays.
    #[expect(clippy::should_implement_trait, reason = "a fault stays, and nothing now may be something later")]
    pub fn next(&mut self) -> Result<Option<Item>, XmppFault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let item = self.read_item();
        if let Err(fault) = &item {
            self.fault = Some(fault.clone());
            self.input = BytesMut::new();
            self.open = Vec::new();
            self.tag = None;
            self.skipping = None;
        }
        item
    }

    /// Whether a top-level element, or the header, has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.octets > 0 || self.front == Front::Headless && !self.input.is_empty()
    }

    /// What was given and not read: after a restart of the stream it belongs to the next reader.
    pub fn into_rest(self) -> BytesMut {
        self.input
    }

    fn read_item(&mut self) -> Result<Option<Item>, XmppFault> {
        if self.ended || !self.pass_front()? {
            return Ok(None);
        }
        loop {
            let mut rest = &self.input[..];
            let before = rest.len();
            let event = self.parser.parse(&mut rest, false);
            let used = before - rest.len();
            self.input.advance(used);
            self.octets += used;
            let item = match event {
                Ok(Some(event)) => self.on_event(event).or_else(|fault| self.skip(fault))?,
                Ok(None) => return Ok(None),
                Err(EndOrError::NeedMoreData) => {
                    self.check_octets().or_else(|fault| self.skip(fault).map(drop))?;
                    self.rest();
                    return Ok(None);
                }
                Err(EndOrError::Error(error)) => return Err(fault_of(error)),
            };
            let item = self.within_octets(item)?;
            if item.is_some() {
                self.octets = 0;
                self.elements = 0;
                return Ok(item);
            }
        }
    }

    const fn check_octets(&self) -> Result<(), XmppFault> {
        let limit = if self.skipping.is_some() { self.limits.skipped_octets } else { self.limits.stanza_octets };
        if self.octets > limit {
            return Err(XmppFault::TooLarge { limit });
        }
        Ok(())
    }

    /// Between stanzas nothing is kept: a thousand quiet streams cost no buffers.
    fn rest(&mut self) {
        if self.octets == 0 {
            self.parser.release_temporaries();
            if self.input.is_empty() {
                self.input = BytesMut::new();
            }
        }
    }

    /// Passes over white space and an XML declaration in front of a headless stream; false: more octets are needed.
    //= xmpp/LINK-001
    fn pass_front(&mut self) -> Result<bool, XmppFault> {
        const DECLARATION: &[u8] = b"<?xml";
        if self.front == Front::Done {
            return Ok(true);
        }
        let blank = self.input.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
        self.input.advance(blank);
        if self.front == Front::Blank {
            self.front = if self.input.is_empty() { Front::Blank } else { Front::Done };
            return Ok(!self.input.is_empty());
        }
        let shared = self.input.iter().zip(DECLARATION).take_while(|(a, b)| a == b).count();
        if shared < DECLARATION.len() {
            let may_come = shared == self.input.len();
            self.front = if may_come { Front::Headless } else { Front::Done };
            return Ok(!may_come);
        }
        match self.input.windows(2).position(|pair| pair == b"?>") {
            Some(at) if at <= DECLARATION_OCTETS_MAX => {
                self.input.advance(at + 2);
                self.front = Front::Done;
                Ok(true)
            }
            // Its last octet but one may just have come.
            None if self.input.len() <= DECLARATION_OCTETS_MAX + 1 => Ok(false),
            Some(_) | None => Err(XmppFault::TooLong { what: "XML declaration", limit: DECLARATION_OCTETS_MAX }),
        }
    }

    /// What was read, if it is not too much. That may show only at the end of an element.
    fn within_octets(&mut self, item: Option<Item>) -> Result<Option<Item>, XmppFault> {
        if matches!(item, Some(Item::Skipped(_))) {
            return Ok(item);
        }
        match (self.check_octets(), item) {
            (Ok(()), item) => Ok(item),
            (Err(fault), None) => self.skip(fault),
            (Err(fault), Some(Item::Element(element))) if self.octets <= self.limits.skipped_octets => {
                Ok(Some(Item::Skipped(Skipped { head: Some(start_of(&element)), fault })))
            }
            (Err(fault), Some(_)) => Err(fault),
        }
    }

    /// Passes over the element in which a limit was broken; `Err` where the stream cannot go on.
    //= xmpp/STREAM-012
    fn skip(&mut self, fault: XmppFault) -> Result<Option<Item>, XmppFault> {
        let may = fault.is_limit() && self.begun && self.depth > 1 && self.octets <= self.limits.skipped_octets;
        if !may || self.skipping.is_some() {
            return Err(fault);
        }
        let here = self.declared.len();
        let declared_before = self.tag.as_ref().map_or(here, |tag| tag.declared_before);
        let (head, declared_before) = match std::mem::take(&mut self.open).into_iter().next() {
            Some((element, declared_before)) => {
                self.tag = None;
                (Some(start_of(&element)), declared_before)
            }
            None => (None, declared_before),
        };
        self.skipping = Some((Skipped { head, fault }, declared_before));
        Ok(None)
    }

    /// Of an element that is passed over only its own start is of interest.
    fn pass_over(&mut self, event: RawEvent) -> Option<Item> {
        match event {
            RawEvent::Attribute(_, name, value) => self.note_attribute(name, value),
            RawEvent::ElementHeadClose(_) => {
                let head = self.tag.take().and_then(|tag| self.head_of(tag));
                if let Some((skipped, _)) = &mut self.skipping {
                    skipped.head = skipped.head.take().or(head);
                }
            }
            RawEvent::ElementFoot(_) if self.depth == 1 => {
                let (skipped, declared_before) = self.skipping.take()?;
                self.declared.truncate(declared_before);
                self.parser.set_text_buffering(false);
                return Some(Item::Skipped(skipped));
            }
            RawEvent::XmlDeclaration(..)
            | RawEvent::ElementHeadOpen(..)
            | RawEvent::Text(..)
            | RawEvent::ElementFoot(_) => {}
        }
        None
    }

    fn note_attribute(&mut self, name: RawQName, value: String) {
        let Some(tag) = &mut self.tag else { return };
        if value.len() > VALUE_OCTETS_MAX || name.0.is_some() {
            return;
        }
        match name.1.as_str() {
            // A namespace that finds no place leaves the one in force.
            "xmlns" => drop(self.declare(None, value)),
            _ if is_of_start(&name) && tag.attributes.iter().all(|(known, _)| *known != name) => {
                tag.attributes.push((name, value));
            }
            _ => {}
        }
    }

    fn head_of(&self, tag: Tag) -> Option<Element> {
        let namespace = self.lookup(tag.name.0.as_ref()).ok()?;
        let mut head = Element::bare(tag.name.1.as_str(), namespace.as_str());
        for ((_, name), value) in tag.attributes.into_iter().filter(|(name, _)| is_of_start(name)) {
            head.set_attr(Namespace::NONE, name, value);
        }
        Some(head)
    }

    fn on_event(&mut self, event: RawEvent) -> Result<Option<Item>, XmppFault> {
        match &event {
            RawEvent::ElementHeadOpen(..) => self.depth += 1,
            RawEvent::ElementFoot(_) => self.depth = self.depth.saturating_sub(1),
            RawEvent::XmlDeclaration(..)
            | RawEvent::Attribute(..)
            | RawEvent::ElementHeadClose(_)
            | RawEvent::Text(..) => {}
        }
        if self.skipping.is_some() {
            return Ok(self.pass_over(event));
        }
        match event {
            RawEvent::XmlDeclaration(..) => Ok(None),
            RawEvent::ElementHeadOpen(_, name) => self.on_open(name).map(|()| None),
            RawEvent::Attribute(_, name, value) => self.on_attribute(name, value).map(|()| None),
            RawEvent::ElementHeadClose(_) => self.on_head(),
            RawEvent::Text(metrics, text) => self.on_text(&text, metrics.len()).map(|()| None),
            RawEvent::ElementFoot(_) => Ok(self.on_foot()),
        }
    }

    //= xmpp/STREAM-007
    fn on_open(&mut self, name: RawQName) -> Result<(), XmppFault> {
        check_name(&name)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(XmppFault::TooDeep { limit: DEPTH_MAX });
        }
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err(XmppFault::TooMany { what: "elements", limit: self.limits.elements });
        }
        self.tag = Some(Tag { name, attributes: Vec::new(), declared_before: self.declared.len() });
        self.parser.set_text_buffering(self.begun);
        Ok(())
    }

    fn on_attribute(&mut self, name: RawQName, value: String) -> Result<(), XmppFault> {
        check_name(&name)?;
        if value.len() > VALUE_OCTETS_MAX {
            return Err(XmppFault::TooLong { what: "value", limit: VALUE_OCTETS_MAX });
        }
        let Some(tag) = &mut self.tag else { return Ok(()) };
        let declared_here = self.declared.len() - tag.declared_before;
        if tag.attributes.len() + declared_here >= ATTRIBUTES_MAX {
            return Err(XmppFault::TooMany { what: "attributes", limit: ATTRIBUTES_MAX });
        }
        let declares = match (&name.0, name.1.as_str()) {
            (None, "xmlns") => Some(None),
            (Some(prefix), _) if prefix.as_str() == "xmlns" => Some(Some(name.1.clone())),
            _ => None,
        };
        match declares {
            Some(prefix) => self.declare(prefix, value),
            None => {
                tag.attributes.push((name, value));
                Ok(())
            }
        }
    }

    fn declare(&mut self, prefix: Option<NcName>, namespace: String) -> Result<(), XmppFault> {
        if namespace.len() > NAMESPACE_OCTETS_MAX {
            return Err(XmppFault::TooLong { what: "namespace", limit: NAMESPACE_OCTETS_MAX });
        }
        let before = self.tag.as_ref().map_or(0, |tag| tag.declared_before);
        let here = self.declared.get(before..).unwrap_or_default();
        if here.iter().any(|(known, _)| *known == prefix) {
            return Err(XmppFault::NotWellFormed("duplicate attribute".to_owned()));
        }
        if self.declared.len() >= NAMESPACES_IN_FORCE_MAX {
            return Err(XmppFault::TooMany { what: "namespace declarations", limit: NAMESPACES_IN_FORCE_MAX });
        }
        self.declared.push((prefix, namespace.into()));
        Ok(())
    }

    fn on_head(&mut self) -> Result<Option<Item>, XmppFault> {
        let Some(tag) = self.tag.take() else { return Ok(None) };
        let namespace = self.lookup(tag.name.0.as_ref())?;
        if !self.begun {
            return self.on_header(tag, &namespace).map(Some);
        }
        if self.open.is_empty() && namespace == ns::STREAM && tag.name.1.as_str() == "stream" {
            return Err(XmppFault::SecondHeader);
        }
        let mut element = Element::bare(tag.name.1.as_str(), namespace.as_str());
        for ((prefix, name), value) in tag.attributes {
            // An attribute without prefix has no namespace; the default is for elements only.
            let namespace = match &prefix {
                Some(_) => self.lookup(prefix.as_ref())?,
                None => Namespace::NONE,
            };
            if element.attrs().contains_key(&namespace, &name) {
                return Err(XmppFault::NotWellFormed("duplicate attribute".to_owned()));
            }
            element.set_attr(namespace, name, value);
        }
        self.open.push((element, tag.declared_before));
        Ok(None)
    }

    fn on_header(&mut self, tag: Tag, namespace: &str) -> Result<Item, XmppFault> {
        let (_, name) = tag.name;
        if namespace != ns::STREAM || name.as_str() != "stream" {
            return Err(XmppFault::NotAStream { namespace: namespace.to_owned(), name: name.as_str().to_owned() });
        }
        let mut header = Header::default();
        for (prefix, namespace) in &self.declared {
            match prefix {
                None => header.namespace = namespace.as_str().to_owned(),
                Some(prefix) => header.prefixes.push((prefix.as_str().to_owned(), namespace.as_str().to_owned())),
            }
        }
        let mut seen: Vec<RawQName> = Vec::new();
        for (name, value) in tag.attributes {
            if seen.contains(&name) {
                return Err(XmppFault::NotWellFormed("duplicate attribute".to_owned()));
            }
            let place = match (name.0.as_ref().map(NcName::as_str), name.1.as_str()) {
                (None, "from") => Some(&mut header.from),
                (None, "to") => Some(&mut header.to),
                (None, "id") => Some(&mut header.id),
                (None, "version") => Some(&mut header.version),
                (Some("xml"), "lang") => Some(&mut header.lang),
                (Some("xml") | None, _) => None,
                (Some(_), _) => self.lookup(name.0.as_ref()).map(|_| None)?,
            };
            if let Some(place) = place {
                *place = Some(value);
            }
            seen.push(name);
        }
        self.begun = true;
        Ok(Item::Header(header))
    }

    fn lookup(&self, prefix: Option<&NcName>) -> Result<Namespace<'static>, XmppFault> {
        if prefix.is_some_and(|prefix| prefix.as_str() == "xml") {
            return Ok(Namespace::XML);
        }
        match (self.declared.iter().rev().find(|(known, _)| known.as_ref() == prefix), prefix) {
            (Some((_, namespace)), _) => Ok(namespace.clone()),
            (None, None) => Ok(Namespace::NONE),
            (None, Some(prefix)) => Err(XmppFault::UndeclaredPrefix(prefix.as_str().to_owned())),
        }
    }

    fn on_text(&mut self, text: &str, octets: usize) -> Result<(), XmppFault> {
        match self.open.last_mut() {
            Some((element, _)) => element.append_text(text),
            // White space between stanzas says that the peer is alive and is no part of the next one.
            None if text.bytes().all(|octet| octet.is_ascii_whitespace()) => {
                self.octets = self.octets.saturating_sub(octets);
            }
            None => return Err(XmppFault::TextBetween),
        }
        Ok(())
    }

    fn on_foot(&mut self) -> Option<Item> {
        let Some((element, declared_before)) = self.open.pop() else {
            self.ended = true;
            return Some(Item::End);
        };
        self.declared.truncate(declared_before);
        match self.open.last_mut() {
            Some((parent, _)) => {
                parent.append_child(element);
                None
            }
            None => {
                self.parser.set_text_buffering(false);
                Some(Item::Element(element))
            }
        }
    }
}

/// What a stanza can be answered by, of an element that is passed over.
const OF_START: [&str; 4] = ["to", "from", "id", "type"];

fn is_of_start(name: &RawQName) -> bool {
    name.0.is_none() && OF_START.contains(&name.1.as_str())
}

fn start_of(element: &Element) -> Element {
    let mut start = Element::bare(element.name(), element.ns());
    for ((namespace, name), value) in element.attrs() {
        if namespace.is_none() && OF_START.contains(&name.as_str()) {
            start.set_attr(namespace.clone(), name.clone(), value.clone());
        }
    }
    start
}

fn check_name(name: &RawQName) -> Result<(), XmppFault> {
    let octets = name.0.as_ref().map_or(0, |prefix| prefix.len() + 1) + name.1.len();
    if octets > NAME_OCTETS_MAX {
        return Err(XmppFault::TooLong { what: "name", limit: NAME_OCTETS_MAX });
    }
    Ok(())
}

fn fault_of(error: Error) -> XmppFault {
    match error {
        Error::InvalidUtf8Byte(octet) => XmppFault::NotUtf8(octet),
        Error::RestrictedXml("long name or reference") => {
            XmppFault::TooLong { what: "name or value", limit: LAN_STANZA_OCTETS_MAX }
        }
        Error::RestrictedXml(_) | Error::UndeclaredEntity => XmppFault::Restricted(error.to_string()),
        _ => XmppFault::NotWellFormed(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
