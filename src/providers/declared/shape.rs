//! Finds members of a JSON value in one walk, as raw text. A member that is read must not be given twice.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::pointer::Pointer;
use crate::providers::fields::Name;

/// The members that are read from one value, by their pointers.
#[derive(Debug, Default)]
pub(super) struct Shape {
    root: Node,
    count: usize,
}

#[derive(Debug, Default)]
struct Node {
    index: Option<usize>,
    members: Vec<(String, Node)>,
}

/// The index of a pointer's value in the [`Values`] of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ValueIndex(usize);

/// The value at a pointer; `None` if a member on the way is missing or null.
pub(super) type MemberValue<'a> = Result<Option<&'a RawValue>, Unreadable>;

/// Why the value at a pointer is unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// A member on the way is given twice.
    GivenTwice,
    /// The pointer meets an array.
    Array,
    /// The pointer meets a text, a number or a boolean.
    NoObject,
}

/// The values, by index.
#[derive(Debug)]
pub(super) struct Values<'a>(Vec<MemberValue<'a>>);

impl<'a> Values<'a> {
    pub(super) fn get(&self, index: ValueIndex) -> MemberValue<'a> {
        self.0.get(index.0).copied().unwrap_or(Ok(None))
    }
}

impl Shape {
    /// Adds a pointer, unless it was added before.
    pub(super) fn index_of(&mut self, pointer: &Pointer) -> ValueIndex {
        let node = pointer.tokens().iter().fold(&mut self.root, Node::member);
        let index = *node.index.get_or_insert(self.count);
        self.count = self.count.max(index + 1);
        ValueIndex(index)
    }

    /// Reads the value at every pointer. `None` if the text is not one complete JSON value.
    pub(super) fn read<'a>(&self, text: &'a str) -> Option<Values<'a>> {
        let mut values = Values(vec![Ok(None); self.count]);
        if self.root.index.is_some() || !text.trim_start().starts_with('{') {
            let raw: &RawValue = serde_json::from_str(text).ok()?;
            self.root.fill(raw, &mut values);
            return Some(values);
        }
        read_members(&self.root, text, &mut values)?;
        Some(values)
    }
}

impl Node {
    fn member<'n>(&'n mut self, name: &String) -> &'n mut Self {
        let at = self.members.iter().position(|(member, _)| member == name);
        let at = at.unwrap_or_else(|| {
            self.members.push((name.clone(), Self::default()));
            self.members.len() - 1
        });
        &mut self.members[at].1
    }

    /// Records the values for this node and the nodes below it.
    fn fill<'a>(&self, raw: &'a RawValue, values: &mut Values<'a>) {
        let text = raw.get();
        if text == "null" {
            return;
        }
        if let Some(index) = self.index {
            values.0[index] = Ok(Some(raw));
        }
        if self.members.is_empty() {
            return;
        }
        if !text.starts_with('{') {
            let met = if text.starts_with('[') { Unreadable::Array } else { Unreadable::NoObject };
            self.fail_below(met, values);
        } else if read_members(self, text, values).is_none() {
            self.fail_below(Unreadable::NoObject, values);
        }
    }

    fn fail(&self, why: Unreadable, values: &mut Values<'_>) {
        if let Some(index) = self.index {
            values.0[index] = Err(why);
        }
        self.fail_below(why, values);
    }

    fn fail_below(&self, why: Unreadable, values: &mut Values<'_>) {
        for (_, member) in &self.members {
            member.fail(why, values);
        }
    }
}

fn read_members<'a>(node: &Node, text: &'a str, values: &mut Values<'a>) -> Option<()> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Members { node, values }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()
}

/// Reads one object.
struct Members<'n, 'v, 'a> {
    node: &'n Node,
    values: &'v mut Values<'a>,
}

impl<'a> DeserializeSeed<'a> for Members<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Members<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut was_given = vec![false; self.node.members.len()];
        while let Some(Name(name)) = map.next_key()? {
            let known = |name| self.node.members.iter().position(|(member, _)| *member == name);
            let Some(at) = name.and_then(known) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let (_, member) = &self.node.members[at];
            let raw: &RawValue = map.next_value()?;
            if std::mem::replace(&mut was_given[at], true) {
                member.fail(Unreadable::GivenTwice, self.values);
            } else {
                member.fill(raw, self.values);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(pointers: &[&str], text: &'a str) -> Option<Vec<Result<Option<&'a str>, Unreadable>>> {
        let mut shape = Shape::default();
        let indexes: Vec<ValueIndex> =
            pointers.iter().map(|pointer| shape.index_of(&Pointer::parse(pointer).unwrap())).collect();
        let values = shape.read(text)?;
        let raw = |index: &ValueIndex| values.get(*index).map(|found| found.map(RawValue::get));
        Some(indexes.iter().map(raw).collect())
    }

    #[test]
    fn every_pointer_is_found_in_one_walk() {
        let body = r#" {"x": {"b": "1", "c": [2]}, "a": 3, "n": null, "o": {"deep": {"er": 4.50}}} "#;

        let read = found(&["/a", "/x/b", "/x/c", "/n", "/n/m", "/gone", "/o/deep/er", "/x"], body).unwrap();

        let expected = [
            Ok(Some("3")),
            Ok(Some(r#""1""#)),
            Ok(Some("[2]")),
            Ok(None),
            Ok(None),
            Ok(None),
            Ok(Some("4.50")),
            Ok(Some(r#"{"b": "1", "c": [2]}"#)),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_member_that_is_read_may_not_come_twice() {
        for (body, expected) in [
            (r#"{"a":1,"a":1}"#, Err(Unreadable::GivenTwice)),
            (r#"{"a":1,"\u0061":null}"#, Err(Unreadable::GivenTwice)),
            (r#"{"b":1,"b":2,"a":1}"#, Ok(Some("1"))),
        ] {
            assert_eq!(found(&["/a"], body).unwrap(), [expected], "{body}");
        }
        let twice = r#"{"o":{"a":1},"o":{"a":2}}"#;
        assert_eq!(found(&["/o/a"], twice).unwrap(), [Err(Unreadable::GivenTwice)]);
    }

    #[test]
    fn a_pointer_goes_through_objects_only() {
        for (body, expected) in [
            (r#"{"a":[{"b":1}]}"#, Unreadable::Array),
            (r#"{"a":"b"}"#, Unreadable::NoObject),
            (r#"{"a":7}"#, Unreadable::NoObject),
        ] {
            assert_eq!(found(&["/a/b"], body).unwrap(), [Err(expected)], "{body}");
        }
        assert_eq!(found(&["/a"], "[]").unwrap(), [Err(Unreadable::Array)]);
    }

    #[test]
    fn a_text_that_is_not_json_has_no_values() {
        for body in ["", "{", r#"{"a":1} x"#, r#"{"a":1,}"#, "nul", "{'a':1}"] {
            assert_eq!(found(&["/a"], body), None, "{body}");
        }
    }
}
