//! Which fields of a message a caller wants (AIP-157).
//!
//! A mask names fields by their paths, such as `id` or `nodes.node`; a path goes through lists into each item. What is not named is left out of the answer.
//! No mask, or `*`, is all.
//!
//! # Why through the descriptors
//! A list of names in each service would be a second truth beside the protos. Here a path is checked and applied by what the message really has. It costs an encoding
//! and a decoding of what is answered, for those who ask for it only.

use std::sync::LazyLock;

use pathway_kernel::Check;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use prost_types::FieldMask;

/// The fields of one kind of message that are wanted.
#[derive(Debug, Clone)]
pub struct Mask(Option<(MessageDescriptor, Vec<Vec<String>>)>);

/// What the server's own descriptors say; made of a constant, and so one itself.
static POOL: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(pathway_proto::DESCRIPTORS).ok());

// === impl Mask ===

impl Mask {
    /// The mask of a request for messages of a type, such as `pathway.datasync.v1.Record`; paths that lead nowhere are noted.
    #[must_use]
    pub fn read(check: &mut Check, field: &str, mask: Option<&FieldMask>, message: &str) -> Self {
        let Some(mask) = mask.filter(|mask| !mask.paths.is_empty() && mask.paths != ["*"]) else {
            return Self(None);
        };
        let Some(descriptor) = POOL.as_ref().and_then(|pool| pool.get_message_by_name(message)) else {
            return Self(None);
        };
        for (index, path) in mask.paths.iter().enumerate() {
            let problem = || {
                format!(
                    "`{path:.100}` is no field of {message}: `describe {message}` lists those that there are"
                )
            };
            check.note(&format!("{field}.paths[{index}]"), (!leads(&descriptor, path)).then(problem));
        }
        let paths = mask.paths.iter().map(|path| path.split('.').map(str::to_owned).collect());
        Self(Some((descriptor, paths.collect())))
    }

    /// The message with what is wanted of it.
    #[must_use]
    pub fn apply<M: Message + Default>(&self, message: M) -> M {
        let Some((descriptor, paths)) = &self.0 else { return message };
        let Ok(mut dynamic) = DynamicMessage::decode(descriptor.clone(), &*message.encode_to_vec()) else {
            return message;
        };
        let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
        keep(&mut dynamic, &paths);
        M::decode(&*dynamic.encode_to_vec()).unwrap_or(message)
    }
}

fn leads(message: &MessageDescriptor, path: &str) -> bool {
    let mut here = Some(message.clone());
    path.split('.').all(|name| {
        let field = here.take().and_then(|message| message.get_field_by_name(name));
        if let Some(field) = &field {
            here = inner(field);
        }
        field.is_some()
    })
}

/// What a path goes on into. A map's values have no names of their own.
fn inner(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) if !field.is_map() => Some(message),
        _ => None,
    }
}

fn keep(message: &mut DynamicMessage, paths: &[&[String]]) {
    let fields: Vec<FieldDescriptor> = message.fields().map(|(field, _)| field).collect();
    for field in fields {
        let below: Vec<&[String]> = paths
            .iter()
            .filter_map(|path| {
                path.split_first().filter(|(name, _)| *name == field.name()).map(|(_, rest)| rest)
            })
            .collect();
        if below.is_empty() {
            message.clear_field(&field);
        } else if below.iter().all(|rest| !rest.is_empty()) {
            match message.get_field_mut(&field) {
                Value::Message(inner) => keep(inner, &below),
                Value::List(values) => {
                    for value in values {
                        if let Value::Message(inner) = value {
                            keep(inner, &below);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pathway_proto::pathway::types::v1::{Record, RecordChange, RecordIdentity};

    use super::*;

    fn mask(paths: &[&str], message: &str) -> Result<Mask, Vec<String>> {
        let mut check = Check::default();
        let mask = FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
        let mask = Mask::read(&mut check, "read_mask", Some(&mask), message);
        let fields =
            |violations: Vec<pathway_kernel::Violation>| violations.into_iter().map(|v| v.field).collect();
        check.done().map(|()| mask).map_err(fields)
    }

    fn change() -> RecordChange {
        let identity = RecordIdentity { source: "csv".into(), account: "card".into(), key: "1".into() };
        let after = Record {
            user_id: "u".into(),
            identity: Some(identity),
            category: "dining".into(),
            ..Record::default()
        };
        RecordChange {
            sequence: 7,
            before: Some(after.clone()),
            after: Some(after),
            ..RecordChange::default()
        }
    }

    #[test]
    fn what_is_not_named_is_left_out() {
        let mask =
            mask(&["sequence", "after.identity.key", "after.category"], "pathway.types.v1.RecordChange")
                .unwrap();
        let masked = mask.apply(change());
        assert_eq!((masked.sequence, &masked.before), (7, &None));
        let after = masked.after.unwrap();
        assert_eq!((after.user_id.as_str(), after.category.as_str()), ("", "dining"));
        let identity = after.identity.unwrap();
        assert_eq!((identity.source.as_str(), identity.key.as_str()), ("", "1"));
    }

    #[test]
    fn nothing_and_a_star_are_all() {
        for paths in [&[][..], &["*"]] {
            assert_eq!(mask(paths, "pathway.types.v1.RecordChange").unwrap().apply(change()), change());
        }
        // A message that is named is whole, whatever of it is named besides.
        let whole = mask(&["after", "after.category"], "pathway.types.v1.RecordChange").unwrap();
        assert_eq!(whole.apply(change()).after, change().after);
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named() {
        let wrong = mask(&["sequence", "after.colour", "sequence.x", ""], "pathway.types.v1.RecordChange")
            .unwrap_err();
        assert_eq!(wrong, ["read_mask.paths[1]", "read_mask.paths[2]", "read_mask.paths[3]"]);
    }
}
