//! Two jobs in a row: what the provider in the middle can't hold comes back at the end.

use rosterd::emulator::{Account, Group, Kind, Visibility};

use crate::support::{Bench, bench_of, digest, group_of, operations, plain_world, tell};

/// Fills a group with all that its provider can hold.
fn fill(account: &mut Account, group: u64) {
    let kind = account.kind;
    let entry = account.group_mut(group);
    // What is neither public nor hidden is told apart by every kind.
    entry.visibility = Visibility::Private;
    match kind {
        Kind::Emfluence => {
            "grp-0001".clone_into(&mut entry.external_id);
            "Friends of News".clone_into(&mut entry.friendly_name);
            "Twice a month.".clone_into(&mut entry.description);
            "Fed by the front desk.".clone_into(&mut entry.notes);
            entry.protected = true;
        }
        Kind::GreenRope => {
            "The front desk & friends".clone_into(&mut entry.sender_name);
            "desk@example.org".clone_into(&mut entry.sender_email);
            "7 Side Street, Springfield, IL, 62701, USA".clone_into(&mut entry.postal_address);
            "Europe/Berlin".clone_into(&mut entry.time_zone);
        }
        Kind::ActiveCampaign => {
            "The front desk & friends".clone_into(&mut entry.sender_name);
            for (name, value) in [
                ("sender_addr1", "7 Side Street"),
                ("sender_addr2", "Back door"),
                ("sender_city", "Coal City"),
                ("sender_state", "KS"),
                ("sender_zip", "06002"),
                ("sender_country", "Germany"),
                ("sender_url", "https://www.example.org/desk"),
                ("sender_reminder", "You left your card at the desk"),
                ("to_name", "Friend"),
            ] {
                entry.settings.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    let people: Vec<u64> = account
        .group(group)
        .unwrap()
        .members
        .keys()
        .copied()
        .collect();
    for (number, contact) in people.into_iter().enumerate() {
        let (zip, reference) = (format!("0{number}234"), format!("{number:06}"));
        let mut values = vec![("company", "Weiß & Söhne"), ("phone", "+1 555 0101")];
        match kind {
            Kind::Emfluence => {
                values.extend([
                    ("city", "Springfield"),
                    ("zip", zip.as_str()),
                    ("external_id", reference.as_str()),
                    ("notes", "<b> & c"),
                ]);
            }
            Kind::GreenRope => values.extend([
                ("city", "Springfield"),
                ("zip", zip.as_str()),
                ("website", "https://www.example.org"),
            ]),
            Kind::ActiveCampaign => {}
        }
        account.change_contact(contact, values, []);
    }
}

/// What a provider of a kind holds of a group, whoever made it.
fn held(kind: Kind, group: &Group) -> Vec<String> {
    let mut held = vec![group.name.clone(), format!("{:?}", group.visibility)];
    match kind {
        Kind::Emfluence => {
            held.extend(
                [
                    &group.external_id,
                    &group.friendly_name,
                    &group.description,
                    &group.notes,
                ]
                .map(Clone::clone),
            );
            held.push(format!("protected {}", group.protected));
        }
        Kind::GreenRope => {
            held.extend(
                [
                    &group.sender_name,
                    &group.sender_email,
                    &group.postal_address,
                    &group.time_zone,
                ]
                .map(Clone::clone),
            );
        }
        Kind::ActiveCampaign => {
            held.push(group.sender_name.clone());
            let parts = group
                .settings
                .iter()
                .filter(|(name, _)| name.starts_with("sender_") || *name == "to_name");
            held.extend(parts.map(|(name, value)| format!("{name} {value}")));
        }
    }
    held
}

struct Chain {
    bench: Bench,
    first: &'static str,
    last: &'static str,
}

impl Chain {
    async fn pass_on(&self) {
        for job in ["out", "on"] {
            let report = self.bench.sync_of(job).await;
            assert_eq!(report.exit_code(), 0, "{job}: {}", tell(&report));
        }
    }

    /// Compares the ends of the chain, which are of one kind.
    fn assert_alike(&self, place: &str) {
        let group = |name: &str| {
            self.bench.account(name, |account| {
                let id = account
                    .find_group("News")
                    .unwrap_or_else(|| panic!("{place}: the group is missing"));
                held(account.kind, &account.groups[&id])
            })
        };
        assert_eq!(group(self.last), group(self.first), "{place}");
        let contacts = |name: &str| {
            self.bench.account(name, |account| {
                digest(account)
                    .into_iter()
                    .filter(|line| line.starts_with("contact"))
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(contacts(self.last), contacts(self.first), "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_middle_cannot_hold_comes_back_at_the_end() {
    for (first, middle, last) in [
        ("mail", "crm", "mail2"),
        ("mail", "campaigns", "mail2"),
        ("crm", "mail", "crm2"),
        ("crm", "campaigns", "crm2"),
        ("campaigns", "mail", "campaigns2"),
        ("campaigns", "crm", "campaigns2"),
    ] {
        let place = format!("{first} to {middle} to {last}");
        let mut world = plain_world();
        let account = world.account_mut(first);
        let group = group_of(account, "News", "person", 6);
        fill(account, group);
        let jobs = format!(
            "[jobs.out]\nsource = \"{first}\"\ntarget = \"{middle}\"\nmode = \"managed\"\n\
             [jobs.on]\nsource = \"{middle}\"\ntarget = \"{last}\"\nmode = \"managed\"\n[jobs.on.groups]\nprotect = false\n"
        );
        let chain = Chain {
            bench: bench_of(world, &jobs),
            first,
            last,
        };
        chain.pass_on().await;
        chain.assert_alike(&place);

        // A later change follows the same way.
        chain.bench.account(first, |account| {
            let entry = account.group_mut(group);
            match entry.settings.get_mut("sender_reminder") {
                Some(reminder) => "You met us at the fair".clone_into(reminder),
                None if entry.description.is_empty() => {
                    "Asia/Tokyo".clone_into(&mut entry.time_zone);
                }
                None => "Once a week.".clone_into(&mut entry.description),
            }
            let contact = account.contact_by_email("person3@example.org").unwrap();
            let value = if account.kind == Kind::ActiveCampaign {
                ("phone", "+1 555 0199")
            } else {
                ("zip", "09999")
            };
            account.change_contact(contact, [value], []);
        });
        chain.pass_on().await;
        chain.assert_alike(&format!("{place}, changed"));
        chain.bench.writes();
        for job in ["out", "on"] {
            assert_eq!(
                operations(&chain.bench.plan_of(job).await),
                Vec::<String>::new(),
                "{place}: {job}"
            );
            chain.bench.sync_of(job).await;
            assert_eq!(chain.bench.sent(), [], "{place}: {job}");
        }
    }
}

/// Who is found in the middle and gets a profile there, and whose profile changes there, must not lose in
/// the next job what the middle can't hold.
#[tokio::test(start_paused = true)]
async fn what_the_middle_cannot_hold_of_a_changed_profile_follows_in_the_same_round() {
    for (first, last) in [("mail", "mail2"), ("crm", "crm2")] {
        let mut world = plain_world();
        let account = world.account_mut(first);
        let group = group_of(account, "News", "person", 6);
        fill(account, group);
        let middle = world.account_mut("campaigns");
        middle.add_contact("person2@example.org");
        let jobs = format!(
            "[jobs.out]\nsource = \"{first}\"\ntarget = \"campaigns\"\nmode = \"managed\"\n\
             [jobs.on]\nsource = \"campaigns\"\ntarget = \"{last}\"\nmode = \"managed\"\n[jobs.on.groups]\nprotect = false\n"
        );
        let chain = Chain {
            bench: bench_of(world, &jobs),
            first,
            last,
        };
        chain.pass_on().await;
        chain.assert_alike(&format!("{first}, found"));
        chain.bench.account(first, |account| {
            let contact = account.contact_by_email("person3@example.org").unwrap();
            account.change_contact(contact, [("phone", "+1 555 0199"), ("zip", "09999")], []);
        });
        chain.pass_on().await;
        chain.assert_alike(&format!("{first}, changed"));
        chain.bench.writes();
        for job in ["out", "on"] {
            chain.bench.sync_of(job).await;
            assert_eq!(chain.bench.sent(), [], "{first}: {job}");
        }
    }
}
