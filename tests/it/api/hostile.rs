//! Requests that nobody means well with: every field of a message set to what hurts most.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

/// What the fields of a request are set to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    pub(super) name: &'static str,
    text: &'static str,
    /// How often the text is repeated.
    times: usize,
    number: i64,
    bytes: &'static [u8],
    /// How many items a list of the request itself has; one further down has two.
    items: usize,
}

/// Messages are nested no deeper: some contain themselves.
const DEEPEST: usize = 5;

pub(super) const PALETTES: [Palette; 6] = [
    Palette {
        name: "far too long",
        text: "x",
        times: 70_000,
        number: i64::MAX,
        bytes: b"\xff\xfe",
        items: 2,
    },
    Palette { name: "not text", text: "\0' OR 1=1; --", times: 1, number: i64::MIN, bytes: b"\0", items: 2 },
    Palette { name: "strange", text: "\u{202e}💥.[].{}${}*%", times: 3, number: -1, bytes: b"{", items: 1 },
    Palette { name: "too many", text: "a", times: 1, number: 1, bytes: b"{}", items: 4097 },
    Palette { name: "plausible", text: "transactions", times: 1, number: 1, bytes: b"{\"id\":1}", items: 1 },
    Palette {
        name: "of somebody else",
        text: "0192f0c1-2345-7abc-8def-0123456789ab",
        times: 1,
        number: 0,
        bytes: b"[]",
        items: 1,
    },
];

// === impl Palette ===

impl Palette {
    /// A message with all of its fields set.
    pub(super) fn paint(&self, message: &MessageDescriptor) -> DynamicMessage {
        self.message(message, 0)
    }

    fn message(&self, message: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut painted = DynamicMessage::new(message.clone());
        for field in message.fields() {
            if let Some(value) = self.field(&field, depth) {
                painted.set_field(&field, value);
            }
        }
        painted
    }

    fn field(&self, field: &FieldDescriptor, depth: usize) -> Option<Value> {
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return None };
            let value = self.value(&entry.map_entry_value_field().kind(), depth)?;
            return Some(Value::Map(HashMap::from([(MapKey::String(self.text.repeat(self.times)), value)])));
        }
        let value = self.value(&field.kind(), depth)?;
        if !field.is_list() {
            return Some(value);
        }
        let items = if depth == 0 { self.items } else { self.items.min(2) };
        Some(Value::List(vec![value; items]))
    }

    fn value(&self, kind: &Kind, depth: usize) -> Option<Value> {
        let small = i32::try_from(self.number).unwrap_or(if self.number > 0 { i32::MAX } else { i32::MIN });
        Some(match kind {
            Kind::String => Value::String(self.text.repeat(self.times)),
            Kind::Bytes => Value::Bytes(self.bytes.into()),
            Kind::Bool => Value::Bool(true),
            Kind::Double => Value::F64(f64::NAN),
            Kind::Float => Value::F32(f32::INFINITY),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(small),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.number),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(u32::MAX),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(u64::MAX),
            Kind::Enum(_) => Value::EnumNumber(small),
            Kind::Message(message) if depth < DEEPEST => Value::Message(self.message(message, depth + 1)),
            Kind::Message(_) => return None,
        })
    }
}

/// Whether a violation's path leads to a field of `message`. What follows a map is a key; what follows a text lies within it, as in a definition.
pub(super) fn leads_somewhere(message: &MessageDescriptor, path: &str) -> bool {
    let mut here = message.clone();
    for part in path.split('.') {
        let name = part.split('[').next().unwrap_or_default();
        let Some(field) = here.get_field_by_name(name) else { return false };
        match field.kind() {
            _ if field.is_map() => return true,
            Kind::Message(inner) => here = inner,
            Kind::String | Kind::Bytes => return true,
            _ => return path.ends_with(part),
        }
    }
    true
}
