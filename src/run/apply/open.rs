//! Requests of which something is still to be read back, in few bytes: a first sync keeps all of
//! its additions until the end.

use crate::model::packed::{Damaged, Unpacking, put_number, put_text};
use crate::model::{MemberJoin, MemberValues, Record, Refusal, Write};
use crate::plan::{PairIx, PersonIx};
use crate::run::settle::{Item, groups_of, is_by_row};
use crate::state::{JournalId, JournalOutcome};

/// A write of which some item still has to be read back.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) journal: JournalId,
    /// The request, without the profiles of those whom it created.
    pub(super) write: Write,
    pub(super) items: Vec<Item>,
    pub(super) outcomes: Vec<JournalOutcome>,
    /// What the provider said against an item that may stand all the same, such as somebody who is
    /// a member already.
    pub(super) objections: Vec<Option<Refusal>>,
}

/// The same, kept until its turn comes.
#[derive(Debug)]
pub(super) struct Kept {
    /// The groups whose listings show whether it was done.
    pub(super) groups: Vec<String>,
    /// Whether each item is for groups of its own.
    pub(super) is_by_row: bool,
    /// Whether it creates people who join nothing with it.
    pub(super) is_bare_creation: bool,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Packed(JournalId, Box<[u8]>),
    /// What comes seldom, or in small numbers.
    Whole(Box<Open>),
}

/// The operations of items that are packed.
const OPS: [&str; 3] = ["create_members", "add_memberships", "remove_memberships"];

const CREATE_MEMBERS: u8 = 0;
const ADD_MEMBERSHIPS: u8 = 1;
const REMOVE_MEMBERSHIPS: u8 = 2;
const JOIN_GROUPS: u8 = 3;

impl Kept {
    pub(super) fn of(open: Open) -> Kept {
        let write = &open.write;
        Kept {
            groups: groups_of(write),
            is_by_row: is_by_row(write) || matches!(write, Write::BringBack { .. }),
            is_bare_creation: matches!(write, Write::CreateMembers { join, .. } if join.is_empty()),
            form: match pack(&open) {
                Some(bytes) => Form::Packed(open.journal, bytes),
                None => Form::Whole(Box::new(open)),
            },
        }
    }

    pub(super) fn open(&self) -> Open {
        match &self.form {
            Form::Packed(journal, bytes) => {
                unpack(*journal, &mut Unpacking(bytes)).expect("what was packed comes out again")
            }
            Form::Whole(open) => (**open).clone(),
        }
    }
}

/// Packs what an ordinary answer leaves open: everything was taken, and nothing said against it.
fn pack(open: &Open) -> Option<Box<[u8]>> {
    let mut out = Vec::new();
    put_number(&mut out, open.items.len() as u64);
    match &open.write {
        Write::CreateMembers { rows, join } => {
            out.push(CREATE_MEMBERS);
            put_texts(&mut out, join);
            for row in rows {
                put_text(&mut out, &row.address);
            }
        }
        Write::AddMemberships { group, members } => {
            out.push(ADD_MEMBERSHIPS);
            put_text(&mut out, group);
            for id in members {
                put_text(&mut out, id);
            }
        }
        Write::RemoveMemberships { group, members } => {
            out.push(REMOVE_MEMBERSHIPS);
            put_text(&mut out, group);
            for id in members {
                put_text(&mut out, id);
            }
        }
        Write::JoinGroups { rows } => {
            out.push(JOIN_GROUPS);
            for row in rows {
                put_optional(&mut out, row.id.as_deref());
                put_text(&mut out, &row.address);
                put_texts(&mut out, &row.groups);
            }
        }
        _ => return None,
    }
    for item in &open.items {
        let op = OPS.iter().position(|op| *op == item.op)?;
        put_number(&mut out, op as u64);
        put_index(&mut out, item.pair.map(|pair| pair.0));
        put_number(&mut out, item.joins.len() as u64);
        for pair in &item.joins {
            put_number(&mut out, u64::from(pair.0));
        }
        put_index(&mut out, item.person.map(|person| person.0));
        put_optional(&mut out, item.target_id.as_deref());
        put_optional(&mut out, item.detail.as_deref());
    }
    if open.objections.iter().any(Option::is_some) {
        return None;
    }
    for outcome in &open.outcomes {
        match outcome {
            JournalOutcome::Accepted { id } => put_optional(&mut out, id.as_deref()),
            _ => return None,
        }
    }
    Some(out.into())
}

fn unpack(journal: JournalId, bytes: &mut Unpacking<'_>) -> Result<Open, Damaged> {
    let items = 0..bytes.number()?;
    let write = match bytes.byte()? {
        CREATE_MEMBERS => {
            let join = texts(bytes)?;
            let row = |_| {
                Ok(MemberValues {
                    address: bytes.text()?.to_owned(),
                    fields: Record::new(),
                })
            };
            Write::CreateMembers {
                rows: items.clone().map(row).collect::<Result<_, _>>()?,
                join,
            }
        }
        kind @ (ADD_MEMBERSHIPS | REMOVE_MEMBERSHIPS) => {
            let group = bytes.text()?.to_owned();
            let ids = items.clone().map(|_| Ok(bytes.text()?.to_owned()));
            let members = ids.collect::<Result<_, _>>()?;
            if kind == ADD_MEMBERSHIPS {
                Write::AddMemberships { group, members }
            } else {
                Write::RemoveMemberships { group, members }
            }
        }
        _ => {
            let row = |_| {
                Ok(MemberJoin {
                    id: optional(bytes)?,
                    address: bytes.text()?.to_owned(),
                    fields: Record::new(),
                    groups: texts(bytes)?,
                })
            };
            Write::JoinGroups {
                rows: items.clone().map(row).collect::<Result<_, _>>()?,
            }
        }
    };
    let item = |_| {
        Ok(Item {
            op: usize::try_from(bytes.number()?)
                .ok()
                .and_then(|op| OPS.get(op))
                .ok_or(Damaged)?,
            pair: index(bytes)?.map(PairIx),
            joins: (0..bytes.number()?)
                .map(|_| Ok(PairIx(bytes.number()? as u32)))
                .collect::<Result<_, _>>()?,
            person: index(bytes)?.map(PersonIx),
            target_id: optional(bytes)?,
            detail: optional(bytes)?,
        })
    };
    let items: Vec<Item> = items.map(item).collect::<Result<_, _>>()?;
    let outcomes = items.iter().map(|_| {
        let id = optional(bytes)?;
        Ok(JournalOutcome::Accepted { id })
    });
    Ok(Open {
        journal,
        outcomes: outcomes.collect::<Result<_, _>>()?,
        objections: vec![None; items.len()],
        write,
        items,
    })
}

fn put_texts(out: &mut Vec<u8>, texts: &[String]) {
    put_number(out, texts.len() as u64);
    for text in texts {
        put_text(out, text);
    }
}

fn texts(bytes: &mut Unpacking<'_>) -> Result<Vec<String>, Damaged> {
    let count = bytes.number()?;
    (0..count).map(|_| Ok(bytes.text()?.to_owned())).collect()
}

fn put_optional(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(out, text);
    }
}

fn optional(bytes: &mut Unpacking<'_>) -> Result<Option<String>, Damaged> {
    Ok(match bytes.byte()? {
        0 => None,
        _ => Some(bytes.text()?.to_owned()),
    })
}

/// Writes an index one higher, and none as 0.
fn put_index(out: &mut Vec<u8>, index: Option<u32>) {
    put_number(out, index.map_or(0, |index| u64::from(index) + 1));
}

fn index(bytes: &mut Unpacking<'_>) -> Result<Option<u32>, Damaged> {
    Ok(bytes.number()?.checked_sub(1).map(|index| index as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(op: &'static str, person: u32) -> Item {
        Item {
            op,
            pair: None,
            joins: Vec::new(),
            person: Some(PersonIx(person)),
            target_id: None,
            detail: None,
        }
    }

    fn open(write: Write, items: Vec<Item>) -> Open {
        let mut outcomes = vec![JournalOutcome::Accepted { id: None }; items.len()];
        if let Some(last) = outcomes.last_mut() {
            *last = JournalOutcome::Accepted {
                id: Some("77".to_owned()),
            };
        }
        Open {
            journal: JournalId::default(),
            objections: vec![None; items.len()],
            write,
            items,
            outcomes,
        }
    }

    #[test]
    fn a_request_that_is_kept_is_the_same_when_its_turn_comes() {
        let row = |address: &str| MemberValues {
            address: address.to_owned(),
            fields: Record::new(),
        };
        let joins = vec![PairIx(0), PairIx(300)];
        let writes = [
            open(
                Write::CreateMembers {
                    rows: vec![row("ana@example.org"), row("b\u{fc}cher@example.org")],
                    join: vec!["4".to_owned(), "5".to_owned()],
                },
                vec![
                    Item {
                        joins: joins.clone(),
                        ..item("create_members", 0)
                    },
                    Item {
                        joins,
                        detail: Some(String::new()),
                        ..item("create_members", u32::MAX - 1)
                    },
                ],
            ),
            open(
                Write::CreateMembers {
                    rows: Vec::new(),
                    join: Vec::new(),
                },
                Vec::new(),
            ),
            open(
                Write::AddMemberships {
                    group: "4".to_owned(),
                    members: vec!["17".to_owned()],
                },
                vec![Item {
                    pair: Some(PairIx(0)),
                    target_id: Some("17".to_owned()),
                    ..item("add_memberships", 1)
                }],
            ),
            open(
                Write::RemoveMemberships {
                    group: "4".to_owned(),
                    members: vec!["17".to_owned()],
                },
                vec![item("remove_memberships", 1)],
            ),
            open(
                Write::JoinGroups {
                    rows: vec![MemberJoin {
                        id: Some("9".to_owned()),
                        address: "eve@example.org".to_owned(),
                        fields: Record::new(),
                        groups: vec!["1".to_owned()],
                    }],
                },
                vec![item("add_memberships", 1)],
            ),
            // Not packed.
            open(
                Write::DeleteGroup { id: "4".to_owned() },
                vec![item("delete_group", 1)],
            ),
        ];
        for (at, open) in writes.into_iter().enumerate() {
            let kept = Kept::of(open.clone());
            assert_eq!(matches!(kept.form, Form::Packed(..)), at < 5, "{open:?}");
            assert_eq!(format!("{:?}", kept.open()), format!("{open:?}"));
        }
    }

    #[test]
    fn what_was_said_against_an_item_is_kept() {
        let write = Write::AddMemberships {
            group: "4".to_owned(),
            members: vec!["17".to_owned()],
        };
        let refused = Refusal::new(None, "is a member already", None);
        let open = Open {
            objections: vec![Some(refused)],
            ..open(write, vec![item("add_memberships", 1)])
        };
        let kept = Kept::of(open.clone());
        assert_eq!(kept.open().objections, open.objections);
    }
}
