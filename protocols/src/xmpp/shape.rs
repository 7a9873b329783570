//! What a reader will count in an element once it is written: the canonical form declares every namespace where it is used,
//! so that it may hold more attributes than what was read.

use minidom::Element;
use rxml::Namespace;

use super::limits::{
    ATTRIBUTES_MAX, DEPTH_MAX, NAME_OCTETS_MAX, NAMESPACE_OCTETS_MAX, NAMESPACES_IN_FORCE_MAX, ReaderLimits,
    VALUE_OCTETS_MAX,
};
use super::ns;

/// Elements that gateways add to a stanza on its way, with a namespace each: the mark of a delay.
const ADDED: usize = 1;
/// Declarations of the header, or of what stands for it.
const OF_HEADER: usize = 2;

/// What is largest in an element, in its canonical form on a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Shape {
    /// Elements in all.
    elements: usize,
    /// Elements inside each other.
    depth: usize,
    /// Attributes of one element, declarations included.
    attributes: usize,
    /// Declarations in force at one place.
    declarations: usize,
    /// Octets of a name, a value, a namespace.
    name: usize,
    value: usize,
    namespace: usize,
}

impl Shape {
    pub(super) const fn fits(self, limits: ReaderLimits) -> bool {
        self.elements + ADDED <= limits.elements
            && self.depth <= DEPTH_MAX
            && self.attributes <= ATTRIBUTES_MAX
            && self.declarations + ADDED <= NAMESPACES_IN_FORCE_MAX
            && self.name <= NAME_OCTETS_MAX
            && self.value <= VALUE_OCTETS_MAX
            && self.namespace <= NAMESPACE_OCTETS_MAX
    }

    fn count(&mut self, element: &Element, in_force: &str, declared: usize, depth: usize) {
        let namespace = element.ns();
        let mut prefixed: Vec<&Namespace<'static>> = Vec::new();
        for ((of, name), value) in element.attrs() {
            let mut octets = name.len();
            if *of == Namespace::XML {
                octets += "xml:".len();
            } else if !of.is_none() {
                if !prefixed.contains(&of) {
                    prefixed.push(of);
                    self.namespace = self.namespace.max(of.len());
                }
                octets += "ns00:".len();
            }
            self.name = self.name.max(octets);
            self.value = self.value.max(value.len());
        }
        let here = prefixed.len() + usize::from(namespace != in_force);
        self.elements += 1;
        self.depth = self.depth.max(depth);
        self.attributes = self.attributes.max(element.attrs().iter().count() + here);
        self.declarations = self.declarations.max(declared + here);
        self.name = self.name.max(element.name().len());
        self.namespace = self.namespace.max(namespace.len());
        for child in element.children() {
            self.count(child, &namespace, declared + here, depth + 1);
        }
    }
}

/// The shape of a stanza.
pub(super) fn shape(stanza: &Element) -> Shape {
    let mut shape = Shape::default();
    shape.count(stanza, ns::SERVER, OF_HEADER, 1);
    shape
}
